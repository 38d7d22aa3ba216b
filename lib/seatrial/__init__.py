"""From a bare machine to a served and measured DeepSeek V4."""

import lazy_loader

__version__ = "0.1.0"

# A name is imported when it is first used: a command that only plans must not wait for what a measurement needs.
# The names and where they come from stand in __init__.pyi, once, for Python and for type checkers.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
