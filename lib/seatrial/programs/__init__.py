"""Finds the engines on this machine, asks for their versions and checks requirements; starts and installs nothing."""
