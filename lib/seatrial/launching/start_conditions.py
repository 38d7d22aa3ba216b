"""Conditions by which a start is compared with earlier ones: engine and version, checkpoint, machine."""

from __future__ import annotations

import os
import platform
from dataclasses import fields
from importlib import metadata
from pathlib import Path

from seatrial.catalog.engine_facts import program_of
from seatrial.engines.types import Command
from seatrial.plan.types import Plan
from seatrial.server.state import StartConditions


def start_conditions_of(plan: Plan | Command, argv: tuple[str, ...]) -> StartConditions:
    """Return the conditions of a start.

    Args:
        plan: The argument of ``launch``.
        argv: The command, its program found.

    """
    cores = f"{os.cpu_count()} cores, {platform.machine()}"
    if isinstance(plan, Command):
        return StartConditions(plan.engine, _version_of(argv), plan.model, cores)
    split = [f"{part.name} {getattr(plan.parallelism, part.name)}" for part in fields(plan.parallelism)]
    layers = "" if plan.gpu_layers is None else f", {plan.gpu_layers} layers on GPUs"
    machine = f"{plan.hardware.name}, {cores}, {', '.join(split)}{layers}"
    return StartConditions(plan.engine, _version_of(argv), plan.checkpoint, machine, plan.footprint.weights_bytes)


def _version_of(argv: tuple[str, ...]) -> str:
    """Return the version of the package a command starts, empty if unknown.

    The package's metadata lie beside its program. Nothing is started: engines take seconds to print their version.
    """
    row = program_of(argv)
    if row is None:
        return ""
    environment = Path(argv[0]).parent.parent
    places = [str(folder) for folder in environment.glob("lib/python*/site-packages")]
    found = metadata.distributions(name=row.package, path=places)
    return next((one.version for one in found), "")
