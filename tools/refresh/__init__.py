"""Turns new facts into the data files of the project, for tools/facts.py."""
