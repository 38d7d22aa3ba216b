"""Turns a plan into a server on this machine: chosen, checked, launched; and the next plan when one fails."""

from seatrial.launching.launcher import launch

__all__ = ["launch"]
