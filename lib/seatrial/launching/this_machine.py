"""Plans what this machine can run now, and predicts it.

V4 if it fits, its checkpoint is downloaded and its engine is installed; else the small stand-in, the one thing that is
ever downloaded without being asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from seatrial.catalog import find_checkpoint
from seatrial.engines.served import is_stand_in
from seatrial.fetch.checkpoint import adopt_checkpoint, fetch_checkpoint, local_path
from seatrial.hardware import detect_hardware
from seatrial.launching.choose import choose_plan
from seatrial.launching.running_plans import running_plan
from seatrial.launching.tuned import tuned_plan
from seatrial.plan.choose import make_plan, plan_of
from seatrial.plan.request import Request
from seatrial.plan.types import TENSOR_PARALLEL, Plan
from seatrial.speed.types import Prediction

_STAND_IN = "smollm2"
V4 = ("flash", "pro")


def plan_here(
    model: str = "auto", *, engine: str = "auto", context_tokens: int | None = None, concurrency: int = 1
) -> Plan:
    """Plan what this machine can launch now, with the settings that ``seatrial tune`` found for it.

    If a server of the model runs here, with at least this context, the plan is the one it was launched with.

    Args:
        model: ``auto``: V4 if it fits and is downloaded, else the stand-in. A model id: that model, with the engine
            and checkpoint that can be launched now (see ``choose_plan``), even if it does not run.
        engine: ``auto``, or an engine id.
        context_tokens: Context of each request.
        concurrency: Requests served at once.

    Raises:
        UnknownNameError: If there is no such model or engine.
        UsageError: If a number is one that no machine has.

    """
    request = Request(
        detect_hardware(), model=model, engine=engine, context_tokens=context_tokens, concurrency=concurrency
    )
    for name in V4 if request.model == "auto" else ():
        wanted = replace(request, model=name)
        running = running_plan(wanted)
        if running is not None:
            return running
        choice = choose_plan(wanted)
        if choice.fetched:
            return tuned_plan(choice.plan)
    wanted = replace(request, model=_STAND_IN if request.model == "auto" else request.model)
    return running_plan(wanted) or tuned_plan(choose_plan(wanted).plan)


def plan_for(
    hardware: str, model: str = "auto", *, engine: str = "auto", context_tokens: int | None = None, concurrency: int = 1
) -> Plan:
    """Make the plan for a machine by its name; ``auto`` is this one.

    If a server of the model runs here, with at least this context, the plan for ``auto`` is the one it was launched with.

    Args:
        hardware: ``auto``, or a named machine such as ``h200x4``.
        model: A model id; ``auto`` is DeepSeek V4 Flash.
        engine: ``auto``, or an engine id.
        context_tokens: Context of each request.
        concurrency: Requests served at once.

    Raises:
        UnknownNameError: If there is no such machine, model or engine.
        UsageError: If a number is one that no machine has.

    """
    machine = detect_hardware(hardware)
    request = Request(machine, model=model, engine=engine, context_tokens=context_tokens, concurrency=concurrency)
    if request.model == "auto":
        request = replace(request, model=V4[0])
    return running_plan(request) or plan_of(request)


def predict_levels(
    plan: Plan | None, levels: Iterable[int], *, prompt_tokens: int | None = None, answer_tokens: int | None = None
) -> dict[int, Prediction]:
    """Predict the speed of a plan at several numbers of requests at once, by that number.

    Args:
        plan: What is served; nothing is predicted for None, a server that this kit did not plan.
        levels: Numbers of requests at once.
        prompt_tokens: Length of their prompts; a usual length by default.
        answer_tokens: Length of their answers; likewise.

    """
    predictions: dict[int, Prediction] = {}
    if plan is None:
        return predictions
    for level in levels:
        # llama.cpp and MLX have as many slots as the plan; further requests wait for one.
        slots = level if plan.engine in TENSOR_PARALLEL else min(level, plan.concurrency)
        same = make_plan(
            checkpoint=plan.checkpoint,
            hardware=plan.hardware,
            nodes=plan.nodes,
            engine=plan.engine,
            context_tokens=plan.context_tokens,
            concurrency=slots,
            tensor_parallel=plan.parallelism.tensor if plan.gpu_layers and plan.parallelism.tensor > 1 else None,
            prompt_tokens=prompt_tokens,
            answer_tokens=answer_tokens,
            drafter=plan.drafter_asked,
            draft_tokens=plan.draft_tokens,
        )
        if same.prediction is not None:
            predictions[level] = same.prediction
    return predictions


def fetch_stand_in(plan: Plan, on_progress: Callable[[Any], None] | None = None) -> None:
    """Download the small stand-in, and its drafter, if the plan serves it and it is missing; nothing else.

    Any other checkpoint that Hugging Face's own cache holds is checked once, so that the launch finds it.

    Raises:
        NetworkError: If it cannot be reached.
        DoesNotFitError: If the disk is too small.
        ModelFileError: If a file in Hugging Face's cache is damaged.

    """
    if not plan.runs or plan.simulated:
        return
    for name in filter(None, (plan.checkpoint, plan.drafter)):
        checkpoint = find_checkpoint(name)
        if not is_stand_in(plan.model):
            adopt_checkpoint(checkpoint, on_progress=on_progress)
        elif local_path(checkpoint, on_progress=on_progress) is None:
            fetch_checkpoint(checkpoint, on_progress=on_progress)
