"""What an engine is here: a module that writes its command, and a data file that says the rest.

``docs/adding-an-engine.md`` walks through both; ``tests/engines/test_protocol.py`` says what one lacks.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol

from seatrial.catalog.engine_facts import EngineFacts, engine_facts
from seatrial.engines.types import Command
from seatrial.errors import RefusedError
from seatrial.plan.types import Plan


class Build(Protocol):
    """Turns a plan into the command of one rank."""

    def __call__(
        self, plan: Plan, *, model_path: str | None = None, runner: str | None = None, host: str = "127.0.0.1"
    ) -> Command:
        """The command, in the flags of the newest version known; ``{port}`` and ``{key_file}`` stay open."""


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine.

    Attributes:
        id: Name of its module in ``seatrial.engines`` and of its file in ``catalog/engines/``.
        build: Plan to command: program, arguments, environment, and where to probe what it starts.
        facts: Versions, programs, what it requires, and how its log and its metrics are read.

    """

    id: str
    build: Build
    facts: EngineFacts


def find_engine(name: str) -> Engine:
    """The engine of that id.

    Raises:
        RefusedError: It has a data file and no module, so that nothing could start it.

    """
    where = f"seatrial.engines.{name}"
    if find_spec(where) is None:
        raise RefusedError(
            f"{name} has a data file, but no module {where} that writes its command.",
            remedy="docs/adding-an-engine.md says what an engine needs.",
        )
    build: Build = import_module(where).build
    return Engine(name, build, engine_facts(name))
