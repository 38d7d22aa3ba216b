"""Panels and controls of a notebook: explorer, live plot, start-up panel, servers."""
