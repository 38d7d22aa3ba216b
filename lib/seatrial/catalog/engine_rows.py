"""The rows of an engine's data file that say what it takes to have, plan, start and tune it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from seatrial.records import Origin


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """A known security hole.

    Attributes:
        what: What it is.
        ids: Its CVE ids.
        below: First version without it, None where every version has it.

    """

    what: str
    ids: tuple[str, ...]
    below: str | None = None


@dataclass(frozen=True, slots=True)
class DraftFlags:
    """How a kind of draft that no recipe uses is turned on: a sentence and its source."""

    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Versions:
    """Version facts of one engine.

    Attributes:
        why: What makes ``safe`` the oldest.
        install: What to install.
        source: Where this stands.
        checked: When it was looked up.
        safe: Oldest version without known holes that runs what this kit serves; None where any does.
        v4: Oldest version that runs DeepSeek V4, None where none does.
        dspark: Oldest version that uses a DSpark draft, None where not known.
        cuda: CUDA its release is built for, None where it is not bound to one.
        worker_flag: What machines after the first add to the command, None where nothing.
        draft_flags: By kind of draft.
        holes: Known holes.
        gaps: What the engine leaves open by design.

    """

    why: str
    install: str
    source: str
    checked: str
    safe: str | None = None
    v4: str | None = None
    dspark: str | None = None
    cuda: str | None = None
    worker_flag: str | None = None
    draft_flags: Mapping[str, DraftFlags] = field(default_factory=dict)
    holes: tuple[Vulnerability, ...] = ()
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Program:
    """One way to start an engine.

    Attributes:
        starts: Program, or module after ``python -m``, at the front of a command's argv.
        remedy: How to get it.
        package: Name under which it is installed.
        source: Where this is known from.
        checked: When.
        imports: Module that must be importable, None for programs on PATH.
        also: Modules an optional part of the package needs.
        runner: Way to run llama.cpp, None for other engines.
        minimum: Oldest release accepted where the package is numbered otherwise than the engine, else None.
        setting: Environment variable with the path of a python (modules) or program installed elsewhere.
        version: Arguments that make a program print its version.
        version_pattern: Where in that output it stands.
        flags: Release whose flags the snapshot holds, where the package is numbered otherwise than the engine.
        help: Arguments that make a program list its flags, where that takes milliseconds.
        slow_help: The same where it takes seconds; only ``seatrial doctor --ask-engines`` asks.

    """

    starts: str
    remedy: str
    package: str
    source: str
    checked: str
    imports: str | None = None
    also: tuple[str, ...] = ()
    runner: str | None = None
    minimum: str | None = None
    setting: str | None = None
    version: tuple[str, ...] = ()
    version_pattern: str = ""
    flags: str | None = None
    help: tuple[str, ...] = ()
    slow_help: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Requirement:
    """Something a machine must have before this engine is worth downloading anything for.

    Attributes:
        what: The reading it is about, one of ``seatrial.engines.requirements.READINGS``.
        why: What needs it, as a clause of a sentence.
        remedy: The one thing to do.
        source: Where this is known from.
        checked: When.
        least: The smallest that will do: a version (compared number by number), bytes or a count, or ``unlimited``.
        most: The largest version that will do, as far as it is written: "3.13" takes 3.13.5.
        one_of: Values that will do, for readings that are names.
        severity: ``problem``: it will not start; ``warning``: it may fail, or be slow.
        stage: ``install``: asked only before the engine is installed; ``always``: also before a model is fetched
            for it and before it is launched.
        on: Where it is asked for: readings and the values that match; everywhere where empty.

    """

    what: str
    why: str
    remedy: str
    source: str
    checked: str
    least: str | int | None = None
    most: str | None = None
    one_of: tuple[str, ...] = ()
    severity: Literal["problem", "warning"] = "problem"
    stage: Literal["always", "install"] = "always"
    on: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Planning:
    """What the planner knows of an engine apart from formulas and rules.

    Attributes:
        order: Place in lists, and among engines whose plans stand alike; 1 is the first.
        formats: Checkpoint formats it loads.
        splits: How it spreads a model over GPUs: ``tensors`` over equal ones, ``layers`` over any, ``nothing``.
        vendors: GPU vendors of the machines it is meant for; empty where any machine will do, also one without a GPU.
        automatic: Whether it is considered where no engine was named.
        like: Engine whose formulas, rules and checkpoints hold for this one too, None where it has its own.

    """

    order: int
    formats: tuple[str, ...] = ()
    splits: Literal["tensors", "layers", "nothing"] = "nothing"
    vendors: tuple[str, ...] = ()
    automatic: bool = False
    like: str | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """Something of an engine that changes how fast it is and not what it answers (unless ``answers`` says so).

    Attributes:
        name: As a person types it after ``--server-options``, and as a tuned result stores it.
        values: What ``seatrial tune`` tries: words of the engine, or figures of the machine and the load, such as
            ``cores-1`` and ``streams*2``. Empty where it is only tried when asked for.
        what: What it does, as a clause.
        source: Where it is known from.
        checked: When.
        flag: The argument it sets, by the program where spellings differ; a program that is not named has none.
        variable: The environment variable it sets instead.
        with_flag: Arguments that grow and shrink in step: a context that all slots share.
        answers: Whether it also changes memory or answers, so that it is never searched by itself.

    """

    name: str
    what: str
    source: str
    checked: str
    values: tuple[str, ...] = ()
    flag: str | Mapping[str, str] = ""
    variable: str = ""
    with_flag: tuple[str, ...] = ()
    answers: bool = False


@dataclass(frozen=True, slots=True)
class Install:
    """How an engine is put into an environment of its own. Sizes are those of Linux on x86-64.

    Attributes:
        name: As ``seatrial engines install`` calls it.
        package: Package whose version tells what is installed.
        version: Release that is installed.
        requirements: What pip or uv is asked for, with environment markers.
        pythons: Versions of Python it may live in, the preferred first; what runs the kit comes before them all.
        proof: Modules that must import afterwards.
        download_bytes: What is downloaded, everything it brings included.
        installed_bytes: What it takes on the disk.
        origin: Where ``installed_bytes`` is from.
        source: Where the sizes stand.
        checked: When they were looked up.
        compilers: C++ compilers of which one must be here; empty where nothing is compiled.
        note: What to know beforehand.

    """

    name: str
    package: str
    version: str
    requirements: tuple[str, ...]
    pythons: tuple[str, ...]
    proof: tuple[str, ...]
    download_bytes: int
    installed_bytes: int
    origin: Origin
    source: str
    checked: str
    compilers: tuple[str, ...] = ()
    note: str = ""
