"""What this machine can really run now, and the launch of it; or why nothing is launched.

V4 where it fits, its checkpoint lies here and its engine is installed; else the small stand-in,
which is the one thing that is ever downloaded without being asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from seatrial.launching.choose import choose_plan, find_obstacle
from seatrial.launching.tuned import tuned_plan
from seatrial.records import to_dict
from seatrial.server.running import NotLaunched, Server
from seatrial.server.startup.watch import Event
from seatrial.server.stopping import Stopped

if TYPE_CHECKING:
    from seatrial.plan import Plan
    from seatrial.speed import Prediction

_STAND_IN = "smollm2"
V4 = ("flash", "pro")


def plan_here(
    model: str = "auto", *, engine: str = "auto", context_tokens: int | None = None, concurrency: int = 1
) -> Plan:
    """The plan that this machine can carry out now, with the settings ``seatrial tune`` found for it.

    Args:
        model: ``auto``: V4 where it fits and is here, else the stand-in. A model id: that one, with what can be
            launched here (see ``choose_plan``), whatever comes of it.
        engine: ``auto``, or an engine id.
        context_tokens: Context of each request.
        concurrency: Requests served at once.

    Raises:
        UnknownNameError: No such model or engine.
        UsageError: A number no machine has.

    """
    from seatrial.hardware import detect_hardware

    wish: dict[str, Any] = {
        "hardware": detect_hardware(),
        "engine": engine,
        "context_tokens": context_tokens,
        "concurrency": concurrency,
    }
    if model != "auto":
        return tuned_plan(choose_plan(model, **wish).plan)
    for name in V4:
        choice = choose_plan(name, **wish)
        if choice.fetched:
            return tuned_plan(choice.plan)
    return tuned_plan(choose_plan(_STAND_IN, **wish).plan)


def plan_for(
    hardware: str, model: str = "auto", *, engine: str = "auto", context_tokens: int | None = None, concurrency: int = 1
) -> Plan:
    """The plan for a machine by its name; ``auto`` is this one.

    Args:
        hardware: ``auto``, or a named machine such as ``h200x4``.
        model: A model id; ``auto`` is DeepSeek V4 Flash.
        engine: ``auto``, or an engine id.
        context_tokens: Context of each request.
        concurrency: Requests served at once.

    Raises:
        UnknownNameError: No such machine, model or engine.
        UsageError: A number no machine has.

    """
    from seatrial.hardware import detect_hardware
    from seatrial.plan import make_plan

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
    """The expected speed of a plan at several numbers of requests at once, by that number.

    Args:
        plan: What is served.
        levels: Numbers of requests at once.
        prompt_tokens: Length of their prompts; a usual one by default.
        answer_tokens: Length of their answers, likewise.

    """
    from seatrial.plan import make_plan

    found = {}
    for level in levels:
        same = make_plan(
            checkpoint=plan.checkpoint,
            hardware=plan.hardware,
            nodes=plan.nodes,
            engine=plan.engine,
            context_tokens=plan.context_tokens,
            concurrency=level,
            prompt_tokens=prompt_tokens,
            answer_tokens=answer_tokens,
        )
        if same.prediction is not None:
            found[level] = same.prediction
    return found


def fetch_stand_in(plan: Plan, on_progress: Callable[[Any], None] | None = None) -> None:
    """Get the small stand-in where the plan means it and it is missing; nothing else is ever fetched here.

    Raises:
        NetworkError: It cannot be reached.
        DoesNotFitError: The disk is too small.

    """
    from seatrial.catalog import find_checkpoint
    from seatrial.engines.served import is_stand_in
    from seatrial.fetch.checkpoint import fetch_checkpoint, local_path

    if plan.runs and not plan.simulated and is_stand_in(plan.model):
        checkpoint = find_checkpoint(plan.checkpoint)
        if local_path(checkpoint) is None:
            fetch_checkpoint(checkpoint, on_progress=on_progress)


def launch_if_possible(plan: Plan, *, on_event: Callable[[Event], None] | None = None) -> Server | NotLaunched:
    """Launch the plan where it is for this machine and everything it needs is here; else say what is missing.

    Args:
        plan: What to run.
        on_event: See ``launch``; ``seatrial.view.startup_panel()`` shows it in a notebook.

    Raises:
        EngineError: The engine was started and failed.

    """
    from seatrial.catalog import find_checkpoint
    from seatrial.fetch.checkpoint import local_path
    from seatrial.launching.launcher import launch

    if plan.hardware.only_named:
        return NotLaunched(f"{plan.hardware.name} is a machine you named, not this one.", "The command is exact.")
    if not plan.runs:
        return NotLaunched(f"{plan.checkpoint} does not run here with {plan.engine}.", plan.smallest_change or "")
    obstacle = find_obstacle(plan)
    if obstacle is not None:
        return NotLaunched(obstacle.what, obstacle.remedy)
    if local_path(find_checkpoint(plan.checkpoint)) is None:
        return NotLaunched(f"{plan.checkpoint} is not on this machine.", f"Run: seatrial fetch {plan.checkpoint}")
    return launch(plan, on_event=on_event)


def server_document(server: Server | NotLaunched, stopped: Stopped | NotLaunched) -> dict[str, Any]:
    """What a record keeps of a server: where it answered, how it came up, and that it is gone."""
    document: dict[str, Any] = to_dict(server)
    return document | {"launched": isinstance(server, Server), "stopped": to_dict(stopped)}
