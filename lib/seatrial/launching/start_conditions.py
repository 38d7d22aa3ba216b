"""What a start is compared with earlier ones by: engine and version, checkpoint, machine."""

from __future__ import annotations

import os
import platform
from dataclasses import fields
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.catalog.engine_facts import program_of
from seatrial.server.state import StartConditions

if TYPE_CHECKING:  # an engine's own process imports this package too, and need not load the planner
    from seatrial.engines.types import Command
    from seatrial.plan.types import Plan


def start_conditions_of(plan: Plan | Command, argv: tuple[str, ...]) -> StartConditions:
    """What is about to be started.

    Args:
        plan: As it was given to ``launch``.
        argv: The command, its program found.

    """
    from seatrial.engines import Command

    cores = f"{os.cpu_count()} cores, {platform.machine()}"
    if isinstance(plan, Command):
        return StartConditions(plan.engine, _version_of(argv), plan.model, cores)
    split = [f"{part.name} {getattr(plan.parallelism, part.name)}" for part in fields(plan.parallelism)]
    layers = "" if plan.gpu_layers is None else f", {plan.gpu_layers} layers on GPUs"
    machine = f"{plan.hardware.name}, {cores}, {', '.join(split)}{layers}"
    return StartConditions(plan.engine, _version_of(argv), plan.checkpoint, machine, plan.footprint.weights_bytes)


def _version_of(argv: tuple[str, ...]) -> str:
    """Version of the package a command starts, read from beside its program; empty where it does not say.

    Nothing is started for it: engines take seconds to say their version.
    """
    row = program_of(argv)
    if row is None:
        return ""
    environment = Path(argv[0]).parent.parent
    places = [str(folder) for folder in environment.glob("lib/python*/site-packages")]
    found = metadata.distributions(name=row.package, path=places)
    return next((one.version for one in found), "")
