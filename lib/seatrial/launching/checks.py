"""Refuses a launch before anything is started: the plan does not run, the name is taken, engine or weights are missing."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from seatrial.catalog import find_checkpoint
from seatrial.catalog.local import check_no_code
from seatrial.engines import RUNNERS
from seatrial.engines.types import Command
from seatrial.errors import DoesNotFitError, RefusedError, UnknownNameError, UsageError
from seatrial.fetch.checkpoint import adopt_checkpoint, check_weights, local_path
from seatrial.launching.access import Access, listens_on, secured
from seatrial.launching.model_folder import readable_folder
from seatrial.launching.tuned import tuned_plan
from seatrial.plan.types import Plan
from seatrial.programs.find import installed_command, resolve_program
from seatrial.server.address import check_port
from seatrial.server.folder import NAME, ServerFolder, check_name, folder_of, launching
from seatrial.server.registry import server_of


def check_launch(  # noqa: PLR0913 -- a person's choices, as for launch
    plan: Plan,
    *,
    name: str | None = None,
    port: int = 0,
    runner: str | None = None,
    access: Access | None = None,
    options: Sequence[str] = (),
) -> None:
    """Raise what ``launch`` would for anything but a missing checkpoint, before somebody fetches that.

    Args:
        plan: The plan to launch.
        name: Name asked for.
        port: Port asked for.
        runner: As for ``launch``.
        access: As for ``launch``.
        options: As for ``launch``.

    """
    _check_plan(plan)
    check_runner(plan, runner)
    who = access or Access()
    who.own_key()
    check_port(port, listens_on(secured(installed_command(plan, runner=runner), who, options)))
    if name is not None:
        _check_not_running(check_name(name))


def command_of(plan: Plan | Command, runner: str | None, model_path: Path | None, tuned: bool) -> Command:
    """Return the command of a plan whose engine and checkpoint are on this machine; arguments as for ``launch``."""
    if isinstance(plan, Command):
        return replace(plan, argv=resolve_program(plan))
    _check_plan(plan)
    check_runner(plan, runner)
    plan = tuned_plan(plan, runner) if tuned else plan
    local = None if plan.simulated else model_path or _path_of(plan.checkpoint)
    if local is not None and local.is_dir():
        check_no_code(local)
        local = readable_folder(plan.engine, local)
    drafter = _drafter_path(plan)
    if drafter is not None:
        plan = replace(plan, drafter=str(drafter.absolute()))
    # The engine first: nobody should fetch 160 GB to learn that it is missing.
    command = installed_command(plan, model_path=str(local.absolute()) if local else None, runner=runner)
    if local is None and not plan.simulated:
        raise UsageError(
            f"The checkpoint {plan.checkpoint} is not on this machine yet.",
            remedy=f"Run: seatrial fetch {plan.checkpoint}",
        )
    if local is not None:
        check_weights(local)
    if drafter is not None:
        check_weights(drafter)
    return command


def _path_of(name: str) -> Path | None:
    """Return the path of a checkpoint that was fetched, or that Hugging Face's cache holds; the latter is checked once."""
    checkpoint = find_checkpoint(name)
    return adopt_checkpoint(checkpoint) or local_path(checkpoint)


def _drafter_path(plan: Plan) -> Path | None:
    """Return the file of the plan's drafter; None if it has none, or if the draft is inside the checkpoint."""
    if plan.drafter is None or plan.drafter == plan.checkpoint:
        return None
    path = _path_of(plan.drafter)
    if path is None:
        raise UsageError(
            f"The drafter {plan.drafter} is not on this machine yet.", remedy=f"Run: seatrial fetch {plan.drafter}"
        )
    return path


def check_runner(plan: Plan, runner: str | None) -> None:
    """Refuse a way to run llama.cpp that does not exist, and any for another engine.

    Raises:
        UnknownNameError: If there is no such runner.
        UsageError: If the plan is not for llama.cpp.

    """
    if runner is not None and runner not in RUNNERS:
        raise UnknownNameError("llama.cpp runner", runner, RUNNERS)
    if runner is not None and plan.engine != "llamacpp":
        raise UsageError(
            f"The runner {runner} runs llama.cpp, and the plan is for {plan.engine}.",
            remedy="Leave --runner out, or add --engine llamacpp.",
        )


def check_one_machine(nodes: int) -> None:
    """Refuse to launch on several machines: a launch starts one process, on this one.

    Raises:
        RefusedError: If there are several.

    """
    if nodes > 1:
        raise RefusedError(
            f"An engine is launched on this machine only, and {nodes} machines were asked for.",
            remedy=f"Leave --nodes out. For {nodes} machines seatrial plan --nodes {nodes} shows the command of each, and "
            "seatrial.scale.submit runs them with Slurm.",
        )


def _check_plan(plan: Plan) -> None:
    check_one_machine(plan.nodes)
    if not plan.runs:
        why = plan.reasons[0].text if plan.reasons else ""
        what = f"{plan.checkpoint} does not run on {plan.hardware.name} with {plan.engine}. {why}".strip()
        kind = RefusedError if plan.verdict == "refused" else DoesNotFitError
        raise kind(what, remedy=plan.smallest_change or "seatrial plan --all ranks what does run.")
    if plan.hardware.only_named and not plan.simulated:
        raise RefusedError(
            f"The plan is for {plan.hardware.name}, a machine that was only named or described; an engine is launched on this one.",
            remedy="Leave --hardware out to plan for this machine, or take the command that seatrial plan shows.",
        )


@contextlib.contextmanager
def claimed(name: str | None, model: str) -> Iterator[ServerFolder]:
    """Claim a name that no running server has, so that two launches never share a folder."""
    if name is not None:
        with launching(check_name(name)) as free:
            if not free:
                raise UsageError(
                    f"Another launch of {name!r} is under way.",
                    remedy=f"Wait for it, or choose another --name than {name}.",
                )
            _check_not_running(name)
            yield folder_of(name)
        return
    base = _slug(model)
    number = 1
    while True:
        candidate = base if number == 1 else f"{base}-{number}"
        with launching(candidate) as free:
            server = server_of(folder_of(candidate)) if free else None
            if free and (server is None or (server.state != "elsewhere" and not server.running)):
                yield folder_of(candidate)
                return
        number += 1


def _slug(model: str) -> str:
    text = re.sub(r"[^a-z0-9._-]+", "-", model.rpartition("/")[2].lower()).strip("-._")[:48]
    return text if NAME.fullmatch(text) else "server"


def _check_not_running(name: str) -> None:
    server = server_of(folder_of(name))
    if server is not None and server.state == "ending":
        server.stop()  # waits until it has ended
    elif server is not None and server.state == "elsewhere":
        raise UsageError(
            f"A server named {name!r} was launched on {server.record.machine}, and may run there.",
            remedy=f"Choose another --name; if it has ended or should, close its record first: seatrial stop {name}.",
        )
    elif server is not None and server.running:
        raise UsageError(
            f"A server named {name!r} runs already: {server.model} at {server.url} (pid {server.pid}).",
            remedy=f"Use it, stop it (seatrial stop {name}), or choose another --name.",
        )
