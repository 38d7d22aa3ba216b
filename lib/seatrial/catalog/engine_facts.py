"""Loads the facts of each engine: versions, vulnerabilities, programs, requirements, start phases, failures.

Each engine has one data file in ``engines/``; the module of the same name in ``seatrial.engines`` writes its commands.
docs/adding-an-engine.md explains every table and field. Each row has a ``source``, and the day it was ``checked``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from seatrial.errors import UsageError
from seatrial.records import Origin, from_dict

_FOLDER = Path(__file__).with_name("engines")


class Vulnerability(msgspec.Struct, frozen=True):
    """A known security vulnerability."""

    what: str
    ids: tuple[str, ...]  # CVE ids
    below: str | None = None  # first version without it; None if every version has it


class DraftFlags(msgspec.Struct, frozen=True):
    """A sentence on how to turn on a kind of draft that no recipe uses, and its source."""

    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Versions:
    """Versions of one engine."""

    why: str  # reason why ``safe`` is the oldest
    install: str  # what to install
    source: str
    checked: str
    safe: str | None = None  # oldest without known vulnerabilities that runs what this kit serves; None: any does
    v4: str | None = None  # oldest that runs DeepSeek V4; None: none does
    dspark: str | None = None  # oldest that uses a DSpark draft; None: unknown
    cuda: str | None = None  # CUDA its release is built for; None: it needs no particular one
    worker_flag: str | None = None  # what machines after the first add to the command
    draft_flags: Mapping[str, DraftFlags] = field(default_factory=dict)  # by kind of draft
    vulnerabilities: tuple[Vulnerability, ...] = ()
    gaps: tuple[str, ...] = ()  # what the engine leaves open by design


class Planning(msgspec.Struct, frozen=True):
    """Facts the planner needs about an engine, apart from formulas and rules."""

    order: int  # place in lists and among engines with equal plans; 1 is the first
    formats: tuple[str, ...] = ()  # checkpoint formats it loads
    splits: Literal["tensors", "layers", "nothing"] = "nothing"  # over equal GPUs, over any GPUs, or over none
    vendors: tuple[str, ...] = ()  # GPU vendors it is meant for; empty: any machine, also one without a GPU
    automatic: bool = False  # considered when a person names no engine
    like: str | None = None  # engine whose formulas, rules and checkpoints hold for this one too


class Drafting(msgspec.Struct, frozen=True):
    """Drafting that a person asks for with ``--drafter``, and what published runs gained by it."""

    since: str  # oldest version that drafts so, as far as known
    source: str
    checked: str
    inside: bool = False  # by the head inside the checkpoint; else by a file of its own
    draft_tokens: int = 0  # drafted a step if all of the model is on GPUs; 0 leaves it to the engine
    draft_tokens_host: int = 0  # the same if routed experts are in host memory
    gain: str = ""  # of published runs, as the end of a sentence
    host: str = ""  # what a published run found with experts in host memory, a sentence
    note: str = ""  # what else a person should know, a sentence


class TensorSplit(msgspec.Struct, frozen=True):
    """A split of each tensor over equal GPUs, for an engine that otherwise divides layers."""

    since: str  # oldest version that splits V4 so, as far as known
    ubatch_tokens: int  # prompt tokens computed at once
    gain: str  # of published runs, as the end of a sentence
    source: str
    checked: str


class Metrics(msgspec.Struct, frozen=True):
    """Names in the engine's ``/metrics``; of several names for a figure, as versions differ, the first that is there counts.

    Series of one name are added up. A name with dots leads to a number in a page of JSON.
    """

    source: str
    checked: str
    running: tuple[str, ...] = ()  # requests being served
    waiting: tuple[str, ...] = ()  # requests that queue
    kv_cache_usage: tuple[str, ...] = ()  # used share of the KV cache, 0 to 1
    generated_tokens: tuple[str, ...] = ()  # since the start, as all that follow
    prompt_tokens: tuple[str, ...] = ()
    cached_tokens: tuple[str, ...] = ()  # prompt tokens that the prefix cache answered
    preemptions: tuple[str, ...] = ()  # requests put back into the queue for want of KV cache
    draft_steps: tuple[str, ...] = ()  # steps in which a drafter's tokens were checked
    drafted_tokens: tuple[str, ...] = ()
    accepted_tokens: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()  # labels that tell apart series of the same figure: of these the largest counts
    parts: tuple[str, ...] = ()  # labels whose values part a total, which stands beside them with an empty value
    prompt_without_cached: bool = False  # prompt_tokens leaves out what the prefix cache answered
    turned_on_by: str = ""  # argument without which there is no such page
    none: str | None = None  # why an engine has no metrics


class MemoryLine(msgspec.Struct, frozen=True):
    """A line of the engine's log that tells how much memory it has taken for something; several lines add up."""

    what: Literal["weights", "kv_cache", "compute_buffers"]
    pattern: str  # regular expression; its group ``size`` is a number of ``unit``
    unit: Literal["MiB", "GiB"]
    source: str
    checked: str


@dataclass(frozen=True, slots=True)
class Program:
    """One way to start an engine."""

    starts: str  # program, or module after ``python -m``, at the front of a command's argv
    remedy: str  # how to get it
    package: str  # name under which it is installed
    source: str
    checked: str
    imports: str | None = None  # module that must be importable; None for programs on PATH
    also: tuple[str, ...] = ()  # modules an optional part of the package needs
    runner: str | None = None  # way to run llama.cpp; None for other engines
    minimum: str | None = None  # oldest release accepted, if package and engine have different version numbers
    setting: str | None = None  # environment variable with the path of a python (modules) or program elsewhere
    version: tuple[str, ...] = ()  # arguments that make a program print its version
    version_pattern: str = ""  # regular expression that finds the version in that output
    flags: str | None = None  # release of the flag snapshot, if package and engine have different version numbers
    help: tuple[str, ...] = ()  # arguments that make a program list its flags within milliseconds
    slow_help: tuple[str, ...] = ()  # the same within seconds; only ``seatrial doctor --ask-engines`` runs it


@dataclass(frozen=True, slots=True)
class Requirement:
    """Something a machine must have before a person downloads anything for this engine."""

    what: str  # one of ``seatrial.engines.requirements.READINGS``
    why: str  # what needs it, as a clause of a sentence
    remedy: str
    source: str
    checked: str
    least: str | int | None = None  # minimum: a version (compared number by number), bytes, a count or ``unlimited``
    most: str | None = None  # maximum version as far as it is written: "3.13" includes 3.13.5
    one_of: tuple[str, ...] = ()  # accepted names
    severity: Literal["problem", "warning"] = "problem"  # it will not start; it may fail or be slow
    stage: Literal["always", "install"] = "always"  # ``install``: checked only before the engine is installed
    on: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # readings that must match; empty: everywhere


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of an engine's start, and how its log shows it. Rows are in order; a name may have several rows."""

    name: str
    pattern: str  # per line; optional groups: ``done`` and ``total`` count parts, ``step`` names the pass
    source: str
    checked: str
    helps: str = ""  # what to try if an engine stalls in this phase


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure, and how it shows: in a log line or by the signal that ended the process."""

    cause: str  # short name
    what: str  # cause as a clause of a sentence
    remedy: str
    source: str
    checked: str
    pattern: str = ""  # regular expression, searched line by line
    signal: str = ""  # name of the signal, for rows without a pattern
    # From the most to the least specific; a ``root`` is a cause that may be only a warning, and explains a later end.
    kind: Literal["root", "cause", "general", "consequence", "vague"] = "cause"
    given: str = ""  # pattern that another line of the log must have; empty: none
    phase: str = ""  # phase of the start in which it happens, if the line shows it


class LogSigns(msgspec.Struct, frozen=True):
    """What an engine's log shows of the engine and its GPUs; each a regular expression, searched line by line."""

    names: str  # lines that only this engine writes
    source: str
    checked: str
    processes: str = ""  # its processes as the kernel names them (15 characters), and its units; empty: unknown
    begins: str = ""  # the first lines of a start; empty: unknown
    layers_flags: tuple[str, ...] = ()  # arguments with the layers for GPUs; empty: it is always meant to use GPUs
    on_gpu: str = ""  # weights are on a GPU
    on_processor: str = ""  # weights are in host memory; counts unless others are on a GPU
    gpu_found: str = ""  # a GPU was found
    gpu_missing: str = ""  # none was; counts if the log says nothing else of GPUs
    remedy: str = ""  # what to do if it serves on the processor


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of an engine that changes its speed, and not its answers unless ``answers`` is true."""

    name: str  # as typed after ``--server-options`` and stored in a tuned result
    what: str  # its effect, as a clause
    source: str
    checked: str
    values: tuple[str, ...] = ()  # what ``seatrial tune`` tries: the engine's words, or ``cores-1``, ``streams*2``
    flag: str | Mapping[str, str] = ""  # argument it sets, by program if spellings differ
    variable: str = ""  # environment variable it sets instead
    with_flag: tuple[str, ...] = ()  # arguments that change in proportion: a context that all slots share
    answers: bool = False  # it also changes memory or answers, so no search includes it by default


@dataclass(frozen=True, slots=True)
class Install:
    """How to install an engine into an environment of its own. Sizes are those of Linux on x86-64."""

    name: str  # for ``seatrial engines install``
    package: str  # package whose version is the installed version
    version: str
    requirements: tuple[str, ...]  # for pip or uv, with environment markers
    pythons: tuple[str, ...]  # versions of Python it supports, the preferred first; this kit's own comes before them
    proof: tuple[str, ...]  # modules that must import afterwards
    download_bytes: int  # dependencies included
    installed_bytes: int
    origin: Origin  # of installed_bytes
    source: str
    checked: str
    compilers: tuple[str, ...] = ()  # C++ compilers of which it needs one; empty: it compiles nothing
    note: str = ""


class MisreadConfig(msgspec.Struct, frozen=True):
    """A field of config.json that the engine misreads, so that a launch gives it a folder of links without the field."""

    field: str  # names from the outermost on, joined by dots
    architecture: str  # of the models it is about
    why: str
    by_hand: str  # a sentence for whoever starts the engine otherwise
    source: str
    checked: str


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """Everything the data file of one engine holds."""

    title: str  # name as people write it
    summary: str
    versions: Versions
    planning: Planning
    metrics: Metrics
    programs: tuple[Program, ...] = ()  # the preferred first
    requires: tuple[Requirement, ...] = ()
    unrestricted: str = ""  # why ``requires`` is empty
    failures: tuple[Failure, ...] = ()  # the first match decides
    phases: tuple[Phase, ...] = ()  # empty: its log does not show them
    tune: tuple[Setting, ...] = ()  # settings ``seatrial tune`` may change, by usual importance
    install: Install | None = None  # None: this kit does not install it
    misread_config: MisreadConfig | None = None  # None: it reads every config.json that it takes
    drafting: Drafting | None = None  # None: it takes no drafter as a file
    tensor_split: TensorSplit | None = None  # None: it has no second way to split a model
    memory: tuple[MemoryLine, ...] = ()  # empty: its log does not tell
    log: LogSigns | None = None  # None: its log is recognised by its phases and failures only


@cache
def engine_facts(engine: str) -> EngineFacts:
    """Load the facts of one engine of ``engine_ids``.

    Raises:
        UsageError: If its data file is not TOML, or lacks a required field.

    """
    path = _FOLDER / f"{engine}.toml"
    try:
        return from_dict(EngineFacts, tomllib.loads(path.read_text(encoding="utf-8")))
    except (ValueError, UsageError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(
            f"The data file of {engine}, {path}, cannot be used: {reason}",
            remedy="docs/adding-an-engine.md explains every field.",
        ) from error


@cache
def engine_ids() -> tuple[str, ...]:
    """List every engine that has a data file, in the order of ``planning.order``."""
    names = sorted(path.stem for path in _FOLDER.glob("*.toml"))
    return tuple(sorted(names, key=lambda name: engine_facts(name).planning.order))


def planned_as(engine: str) -> str:
    """Return the engine whose formulas, rules and checkpoints hold for ``engine``: mostly the same."""
    return engine_facts(engine).planning.like or engine


@cache
def loaders(checkpoint_format: str) -> tuple[str, ...]:
    """List the engines with formulas of their own that load a format ("gguf", "safetensors", "mlx")."""
    rows = ((name, engine_facts(name).planning) for name in engine_ids())
    return tuple(name for name, row in rows if row.like is None and checkpoint_format in row.formats)


def program_of(argv: Sequence[str]) -> Program | None:
    """Return the program that a command starts, None if it is not an engine's."""
    starts = argv[2] if tuple(argv[1:2]) == ("-m",) else Path(argv[0]).name
    rows = (row for name in engine_ids() for row in engine_facts(name).programs)
    return next((row for row in rows if row.starts == starts), None)


def is_older(version: str, minimum: str) -> bool:
    """Return True if ``version`` comes before ``minimum``; only the first three numbers count."""
    return _numbers(version) < _numbers(minimum)


def is_newer(version: str, most: str) -> bool:
    """Return True if ``version`` comes after ``most``, as far as that is written: 3.13.5 is not newer than 3.13."""
    bound = _numbers(most)
    return _numbers(version)[: len(bound)] > bound


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
