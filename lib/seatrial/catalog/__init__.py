"""Names the models and checkpoints this kit knows: their exact sizes, their sources, the engines that load them.

``find_checkpoint`` turns what a person types (a model name, a hub id, ``repo:quantization``, a local path) into a
``Checkpoint``. It never guesses a size.
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
