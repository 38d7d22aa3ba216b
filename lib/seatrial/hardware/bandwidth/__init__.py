"""Measures how fast the memory of this machine is read, host and GPUs, and keeps the figures for later plans."""
