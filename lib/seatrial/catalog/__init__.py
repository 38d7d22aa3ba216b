"""Which models and checkpoints there are, what they weigh, and what can load them.

``find_checkpoint`` turns what a person types (a model name, a hub id, ``repo:quantization``, a local
path) into a ``Checkpoint``; it never guesses a size.
"""

from seatrial.catalog.find import find_checkpoint, find_model, model_of
from seatrial.catalog.listing import checkpoints, models
from seatrial.catalog.types import Checkpoint, CheckpointFile, Model

__all__ = [
    "Checkpoint",
    "CheckpointFile",
    "Model",
    "checkpoints",
    "find_checkpoint",
    "find_model",
    "model_of",
    "models",
]
