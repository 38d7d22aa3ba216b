"""From a bare machine to a served and measured DeepSeek V4."""

__version__ = "0.1.0"
