"""Why an engine ended: a named cause, the lines it rests on, and what to do next."""
