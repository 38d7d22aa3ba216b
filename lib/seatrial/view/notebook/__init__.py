"""Panels and controls of a notebook: explorer, load panel, start-up panel, servers."""
