"""Diagnoses why an engine ended: a named cause, the log lines that show it, and what to do next."""
