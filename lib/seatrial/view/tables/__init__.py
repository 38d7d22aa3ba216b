"""Tables: rows and columns for the terminal, a notebook and the report."""
