"""What every engine module offers: a plan turned into a command."""

from __future__ import annotations

from typing import Protocol

from seatrial.engines.types import Command
from seatrial.plan.types import Plan


class Build(Protocol):
    """Turns a plan into the command of one rank."""

    def __call__(
        self, plan: Plan, *, model_path: str | None = None, runner: str | None = None, host: str = "127.0.0.1"
    ) -> Command:
        """The command; ``{port}`` and ``{key_file}`` stand where the launch fills them in."""
