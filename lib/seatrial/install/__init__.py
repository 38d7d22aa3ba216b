"""Installs an engine into an environment of its own."""
