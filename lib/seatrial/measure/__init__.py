"""Sends load to a server and sums up the answers: TTFT, TPOT, tokens per second, and a check of the client itself."""

import lazy_loader

# A name is imported when it is first used: the client's process needs none of what sums up and reads telemetry.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
