"""Described machines: read from a file, laid out below a temporary folder, and played to detection and planning."""
