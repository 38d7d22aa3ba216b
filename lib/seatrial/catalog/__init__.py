"""Placeholder docstring, written by the layer."""
