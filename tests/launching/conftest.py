"""The fixtures of the server tests: launches are tested with the same engines."""

from tests.server.conftest import another_process, fake, nothing_left

__all__ = ["another_process", "fake", "nothing_left"]
