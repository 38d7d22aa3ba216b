"""An engine: a module that writes its command, and a data file with its versions, programs and requirements.

``docs/adding-an-engine.md`` walks through both; ``tests/engines/test_protocol.py`` names what an engine lacks.
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
        """Return the command in the flags of the newest known version, with ``{port}`` and ``{key_file}`` open."""


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine."""

    id: str  # name of its module in seatrial.engines and of its file in catalog/engines/
    build: Build
    facts: EngineFacts


def find_engine(name: str) -> Engine:
    """Return the engine with this id.

    Raises:
        RefusedError: If it has a data file and no module, so that nothing could start it.

    """
    module = f"seatrial.engines.{name}"
    if find_spec(module) is None:
        raise RefusedError(
            f"{name} has a data file, but no module {module} that writes its command.",
            remedy="docs/adding-an-engine.md says what an engine needs.",
        )
    build: Build = import_module(module).build
    return Engine(name, build, engine_facts(name))
