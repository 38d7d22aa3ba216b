"""Finds the next smaller plan after memory ran out, with the same planner, and the command that launches it.

The engine ran out of memory although it was to fit, so the plan's reserve was too small: by the bytes that the log
names, or by an unknown amount. The next step down is the first of these that runs and frees as much:

*   for SGLang and vLLM, once they make their caches, a smaller share of each GPU that still serves the requests;
*   fewer requests at once, then a shorter context;
*   a smaller checkpoint.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import floor

from seatrial.catalog import find_checkpoint
from seatrial.catalog.find import model_of
from seatrial.engines.types import Command
from seatrial.errors import DoesNotFitError, EngineError, UsageError
from seatrial.plan.candidate import Candidate, preferred_checkpoints
from seatrial.plan.evaluate import evaluate
from seatrial.plan.request import Request
from seatrial.plan.types import Plan
from seatrial.records import write_json
from seatrial.server.failures.diagnosis import GPU_MEMORY, HOST_MEMORY, MEMORY, Diagnosis
from seatrial.server.failures.table import failure_table
from seatrial.server.folder import ServerFolder, folder_of
from seatrial.server.running import Server
from seatrial.units import counted, format_bytes, format_gib, parse_bytes

_PLAN_FILE = "plan.json"
_TOKEN_STEP = 1024
_LEAST_TOKENS = 2048
_SHARE_STEP = 0.05
_BEFORE_CACHES = frozenset({"starting", "starting ranks", "loading weights"})
"""Phases in which neither context nor requests have taken memory yet."""
_BESIDE_CACHES = frozenset({"compiling kernels", "capturing graphs", "warming up", "opening its port", "serving"})
"""Phases in which what runs out is the memory beside the caches: these take the share they were given."""
_CACHES = "allocating caches"


@dataclass(frozen=True, slots=True)
class Shortage:
    """Size of a memory shortage, by the log."""

    missing_bytes: int = 0  # on one GPU (or the host), at least; 0 if unknown
    most_tokens: int | None = None  # longest context that fits by the engine's own words, None if it names none


@dataclass(frozen=True, slots=True)
class NextPlan:
    """A smaller plan that fits."""

    plan: Plan
    change: str  # from the plan that failed, as part of a sentence
    command: str  # that launches it


def shortage_of(lines: Sequence[str]) -> Shortage:
    """Read the size of a memory failure from its log lines.

    Args:
        lines: Log lines, for example the evidence of a diagnosis.

    """
    missing, tokens = 0, None
    for row in failure_table().shortages:
        for found in re.finditer(row.pattern, "\n".join(lines)):
            groups = found.groupdict()
            if groups.get("tokens"):
                tokens = int(groups["tokens"])
            elif groups.get("free"):
                missing = max(missing, parse_bytes(groups["asked"]) - parse_bytes(groups["free"]))
    return Shortage(max(0, missing), tokens)


def next_plan(plan: Plan, found: Diagnosis) -> NextPlan | None:
    """Return the next smaller plan that fits this machine after one that was to fit ran out of memory.

    It has the same checkpoint with fewer requests or a shorter context if these take memory, else a smaller checkpoint.
    Each candidate is planned anew, and must free what was missing by the log.

    Args:
        plan: The plan that failed.
        found: Its diagnosis.

    Returns:
        The plan; None for another cause, and if nothing smaller fits.

    """
    if found.cause not in MEMORY or plan.simulated:
        return None
    lacking = shortage_of(found.evidence)
    if (smaller := _smaller_share(plan, lacking, found)) is not None:
        return smaller
    for candidate, change in _smaller(plan, lacking, found):
        trial = evaluate(candidate)
        if trial.runs and _frees(plan, trial.plan(), lacking, found.cause):
            return NextPlan(trial.plan(), change, command_of(trial.plan()))
    return None


def command_of(plan: Plan, share: float | None = None) -> str:
    """Return the ``seatrial serve`` command that makes this plan, and a share of GPU memory other than the plan's own."""
    words = ["seatrial", "serve", "--checkpoint", plan.checkpoint, "--engine", plan.engine]
    words += ["--context-tokens", str(plan.context_tokens), "--concurrency", str(plan.concurrency)]
    words += ["--objective", plan.objective] if plan.objective != "balanced" else []
    words += (
        ["--tensor-parallel", str(plan.parallelism.tensor)] if plan.parallelism.tensor > 1 and plan.gpu_layers else []
    )
    words += ["--drafter", plan.drafter_asked] if plan.drafter_asked else []
    words += ["--draft-tokens", str(plan.draft_tokens)] if plan.draft_tokens else []
    return shlex.join([*words, *(["--gpu-memory-fraction", f"{share:g}"] if share else [])])


def with_share(plan: Plan, share: float) -> Plan:
    """Return the same plan with another share of GPU memory.

    Args:
        plan: A plan for SGLang or vLLM.
        share: Share of each GPU, above 0 and at most 1.

    Raises:
        UsageError: If its engine has no such setting.
        DoesNotFitError: If the plan needs a larger share.

    """
    least = plan.gpu_memory_fraction_min
    if least is None:
        raise UsageError(
            f"{plan.engine} takes no share of GPU memory that could be set.", remedy="Leave --gpu-memory-fraction out."
        )
    if share < least:
        raise DoesNotFitError(
            f"A share of {share:g} of each GPU does not hold the plan; it needs {least:g}.",
            remedy=f"Give --gpu-memory-fraction {least:g} or more, or plan for fewer requests or a shorter context.",
        )
    return replace(plan, gpu_memory_fraction=share, gpu_memory_fraction_used=share)


def _smaller_share(plan: Plan, lacking: Shortage, found: Diagnosis) -> NextPlan | None:
    """Return the same plan with less of each GPU for weights and caches, None if that does not serve the requests."""
    used, least = plan.gpu_memory_fraction_used, plan.gpu_memory_fraction_min
    memory = plan.hardware.gpus[0].memory_bytes if plan.hardware.gpus else None
    # Caches fill the share: if they found no memory, the GPU has less than the share.
    too_large = found.phase in _BESIDE_CACHES or (found.phase == _CACHES and lacking.missing_bytes > 0)
    if found.cause != GPU_MEMORY or not too_large or not (used and least and memory):
        return None
    share = floor(round((used - max(_SHARE_STEP, lacking.missing_bytes / memory)) * 100, 6)) / 100
    if share < least:
        return None
    change = f"{share:g} of each GPU for weights and caches instead of {used:g}, which still holds the requests"
    return NextPlan(with_share(plan, share), change, command_of(plan, share))


def advise(error: EngineError, plan: Plan | Command) -> EngineError:
    """Return the error with the next plan that fits as its remedy if memory ran out, else as it is.

    Args:
        error: Why the engine ended.
        plan: The argument of ``launch``; for a command nobody knows what would be smaller.

    """
    if error.cause not in MEMORY or isinstance(plan, Command):
        return error
    found = Diagnosis(error.cause, error.what, error.remedy, error.evidence, error.phase)
    remedy, command = next_step(plan, found)
    return type(error)(
        error.what,
        remedy=remedy or error.remedy,
        cause=error.cause,
        evidence=error.evidence,
        phase=error.phase,
        next_command=command,
    )


def next_step(plan: Plan, found: Diagnosis) -> tuple[str, str]:
    """Return a remedy with the next plan that fits, and the command that launches it; empty if memory is not the cause.

    Args:
        plan: The plan that was to fit.
        found: Its diagnosis.

    """
    if found.cause not in MEMORY or plan.simulated:
        return "", ""
    smaller = next_plan(plan, found)
    if smaller is None:
        others = "Look at nvidia-smi for others that hold memory. " if found.cause == GPU_MEMORY else ""
        ranked = "No smaller plan fits this machine: seatrial plan --all ranks what does run."
        return f"{_reserved(plan, found)} {others}{ranked}", ""
    return f"{_reserved(plan, found)} Next plan that fits: {smaller.change}. Run: {smaller.command}", smaller.command


def _reserved(plan: Plan, found: Diagnosis) -> str:
    """Return a sentence with the plan's reserve and what the engine lacked all the same."""
    missing = shortage_of(found.evidence).missing_bytes
    lacked = f"the log shows at least {format_bytes(missing)} too little" if missing else "that was too little"
    if found.cause != GPU_MEMORY:
        return "By its plan it fits; other processes may use some of the memory."
    reserve = plan.footprint.per_gpu_by_part.get("reserve", plan.footprint.reserve_bytes)
    return f"The plan reserved {format_gib(reserve)} of each GPU for all but weights and caches; {lacked}."


def _smaller(plan: Plan, lacking: Shortage, found: Diagnosis) -> Iterator[tuple[Candidate, str]]:
    """Yield smaller candidates, each with its change in words, the smallest change first."""
    try:
        have = find_checkpoint(plan.checkpoint)
    except UsageError:  # a local file that somebody removed since
        return
    model = model_of(have)
    request = Request(
        hardware=plan.hardware,
        nodes=plan.nodes,
        context_tokens=plan.context_tokens,
        concurrency=plan.concurrency,
        objective=plan.objective,
        tensor_parallel=plan.parallelism.tensor if plan.gpu_layers else None,
        drafter=plan.drafter_asked,
        draft_tokens=plan.draft_tokens,
    )
    if plan.drafter:
        alone = replace(request, drafter=None, draft_tokens=None)
        yield Candidate(model, have, plan.engine, alone), "the same without the drafter"
    if found.phase not in _BEFORE_CACHES:
        for streams, tokens, change in _steps(plan, lacking):
            less = replace(request, concurrency=streams, context_tokens=tokens)
            yield Candidate(model, have, plan.engine, less), change
    for row in sorted(preferred_checkpoints(model.id, plan.engine), key=lambda row: -(row.weights_bytes or 0)):
        if (row.weights_bytes or 0) < (have.weights_bytes or 0):
            change = f"the checkpoint {row.id} ({format_gib(row.weights_bytes)})"
            yield Candidate(model, row, plan.engine, request), change


def _steps(plan: Plan, lacking: Shortage) -> Iterator[tuple[int, int, str]]:
    """Yield requests, context and the change in words: requests are halved down to one, then the context.

    If the engine names the longest context that fits, it means a single request: then only a shorter context helps.
    """
    streams, tokens = plan.concurrency, plan.context_tokens
    if lacking.most_tokens is not None and lacking.most_tokens < tokens:
        tokens = lacking.most_tokens // _TOKEN_STEP * _TOKEN_STEP
        if tokens >= _LEAST_TOKENS:
            yield streams, tokens, _tokens(tokens, plan)
        return
    while streams > 1:
        streams //= 2
        yield streams, tokens, f"{counted(streams, 'request')} at once instead of {plan.concurrency}"
    while tokens // 2 >= _LEAST_TOKENS:
        tokens = max(_LEAST_TOKENS, tokens // 2 // _TOKEN_STEP * _TOKEN_STEP)
        yield 1, tokens, _tokens(tokens, plan)


def _tokens(tokens: int, plan: Plan) -> str:
    return f"a context of {tokens:,} tokens instead of {plan.context_tokens:,}"


def _frees(plan: Plan, smaller: Plan, lacking: Shortage, cause: str) -> bool:
    """Return True if a smaller plan frees, in the memory that ran out, as much as was missing."""
    before, after = plan.footprint, smaller.footprint
    if lacking.most_tokens is not None and smaller.context_tokens <= lacking.most_tokens < plan.context_tokens:
        return True
    if cause == GPU_MEMORY:
        return after.per_gpu_bytes <= before.per_gpu_bytes - max(1, lacking.missing_bytes)
    if cause == HOST_MEMORY:
        return after.host_bytes < before.host_bytes or after.weights_bytes < before.weights_bytes
    return after.total_bytes < before.total_bytes


def keep_plan(folder: ServerFolder, plan: Plan | Command) -> None:
    """Write the plan to be launched beside its record; for a command nobody knows what would be smaller."""
    if isinstance(plan, Plan):
        write_json(folder.path / _PLAN_FILE, plan, mode=0o600)


def kept_plan(server: Server) -> Plan | None:
    """Return the plan that a server was launched with; None if a command was, or the plan cannot be read."""
    return folder_of(server.name).read(_PLAN_FILE, Plan)


def why_ended(server: Server) -> Diagnosis | None:
    """Return why a server ended by itself, with the next smaller plan as the remedy if memory ran out.

    Returns:
        The diagnosis; None while the server runs, and if somebody stopped it.

    """
    found = server.why_ended()
    if found is None or found.cause not in MEMORY:
        return found
    plan = kept_plan(server)
    return found if plan is None else replace(found, remedy=next_step(plan, found)[0] or found.remedy)
