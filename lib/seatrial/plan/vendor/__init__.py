"""Facts from vendors and engines as data: recipes they ran, rules they set, limits, chat formats."""
