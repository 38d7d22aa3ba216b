"""What vendors and engines say: recipes they ran, rules they set, limits, flags and chat formats, as data."""
