"""Plans what this machine can run now and launches it, or says why not.

V4 if it fits, its checkpoint is downloaded and its engine is installed; else the small stand-in, the one thing that is
ever downloaded without being asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from seatrial.catalog import find_checkpoint
from seatrial.engines.served import is_stand_in
from seatrial.fetch.checkpoint import adopt_checkpoint, fetch_checkpoint, found_path, local_path
from seatrial.hardware import detect_hardware
from seatrial.launching.choose import choose_plan, find_obstacle
from seatrial.launching.launcher import launch
from seatrial.launching.tuned import tuned_plan
from seatrial.plan.choose import make_plan
from seatrial.plan.request import Request
from seatrial.plan.types import Plan
from seatrial.records import to_dict
from seatrial.server.running import NotLaunched, Server
from seatrial.server.startup.watch import Event
from seatrial.server.stopping import Stopped
from seatrial.speed.types import Prediction

_STAND_IN = "smollm2"
V4 = ("flash", "pro")


def plan_here(
    model: str = "auto", *, engine: str = "auto", context_tokens: int | None = None, concurrency: int = 1
) -> Plan:
    """Plan what this machine can launch now, with the settings that ``seatrial tune`` found for it.

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
    for name in V4 if model == "auto" else ():
        choice = choose_plan(replace(request, model=name))
        if choice.fetched:
            return tuned_plan(choice.plan)
    return tuned_plan(choose_plan(replace(request, model=_STAND_IN if model == "auto" else model)).plan)


def plan_for(
    hardware: str, model: str = "auto", *, engine: str = "auto", context_tokens: int | None = None, concurrency: int = 1
) -> Plan:
    """Make the plan for a machine by its name; ``auto`` is this one.

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
    return make_plan(
        V4[0] if model == "auto" else model,
        hardware=detect_hardware(hardware),
        engine=engine,
        context_tokens=context_tokens,
        concurrency=concurrency,
    )


def predict_levels(
    plan: Plan, levels: Iterable[int], *, prompt_tokens: int | None = None, answer_tokens: int | None = None
) -> dict[int, Prediction]:
    """Predict the speed of a plan at several numbers of requests at once, by that number.

    Args:
        plan: What is served.
        levels: Numbers of requests at once.
        prompt_tokens: Length of their prompts; a usual length by default.
        answer_tokens: Length of their answers; likewise.

    """
    predictions = {}
    for level in levels:
        same = make_plan(
            checkpoint=plan.checkpoint,
            hardware=plan.hardware,
            nodes=plan.nodes,
            engine=plan.engine,
            context_tokens=plan.context_tokens,
            concurrency=level,
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


def launch_if_possible(plan: Plan, *, on_event: Callable[[Event], None] | None = None) -> Server | NotLaunched:
    """Launch the plan if it is for this machine and everything it needs is installed; else return what is missing.

    Args:
        plan: What to run.
        on_event: See ``launch``; ``seatrial.view.startup_panel()`` shows it in a notebook.

    Raises:
        EngineError: If the engine was started and failed.

    """
    if plan.hardware.only_named:
        return NotLaunched(f"{plan.hardware.name} is a machine you named, not this one.", "The command is exact.")
    if not plan.runs:
        why = f"{plan.checkpoint} does not run on this machine with {plan.engine}."
        return NotLaunched(why, plan.smallest_change or "")
    obstacle = find_obstacle(plan)
    if obstacle is not None:
        return NotLaunched(obstacle.what, obstacle.remedy)
    if found_path(find_checkpoint(plan.checkpoint)) is None:
        return NotLaunched(f"{plan.checkpoint} is not on this machine.", f"Run: seatrial fetch {plan.checkpoint}")
    return launch(plan, on_event=on_event)


def server_document(server: Server | NotLaunched, stopped: Stopped | NotLaunched) -> dict[str, Any]:
    """Return what a record keeps of a server: its address, how it started, and how it stopped."""
    document: dict[str, Any] = to_dict(server)
    return document | {"launched": isinstance(server, Server), "stopped": to_dict(stopped)}
