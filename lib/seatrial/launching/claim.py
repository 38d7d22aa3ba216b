"""Finds the server that runs under a name, or claims the name for a launch: two launches never share one."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Sequence
from itertools import count

from seatrial.errors import UsageError
from seatrial.launching.access import Access, listens_on, secured
from seatrial.launching.checks import check_plan, check_runner
from seatrial.launching.wish import Wish
from seatrial.plan.types import Plan
from seatrial.programs.find import installed_command
from seatrial.server.address import check_port
from seatrial.server.folder import NAME, ServerFolder, check_name, folder_of, launching
from seatrial.server.registry import server_of
from seatrial.server.running import Server
from seatrial.units import format_seconds

_POLL_S = 0.05


def check_launch(  # noqa: PLR0913 -- a person's choices, as for launch
    plan: Plan,
    *,
    name: str | None = None,
    port: int = 0,
    runner: str | None = None,
    access: Access | None = None,
    options: Sequence[str] = (),
    tuned: bool = True,
) -> None:
    """Raise what ``launch`` would for anything but a missing checkpoint, before somebody fetches that.

    Args:
        plan: The plan to launch.
        name: Name asked for.
        port: Port asked for.
        runner: As for ``launch``.
        access: As for ``launch``.
        options: As for ``launch``.
        tuned: As for ``launch``.

    """
    check_runner(plan, runner)
    who = access or Access()
    wish = Wish(plan=plan, access=who, runner=runner, options=options, tuned=tuned, port=port, own_key=who.own_key())
    server = running_under(name_for(name, plan.model))
    if server is not None:
        wish.check_is(server)
        return
    check_plan(plan)
    check_port(port, listens_on(secured(installed_command(plan, runner=runner), who, options)))


def name_for(name: str | None, model: str) -> str:
    """Return the name of a launch: the one given, else the model's, numbered if another machine's server has it.

    Raises:
        UsageError: If it may not name a server, or a server of another machine has the given name.

    """
    if name is None:
        base = _slug(model)
        numbered = (base if number == 1 else f"{base}-{number}" for number in count(1))
        return next(each for each in numbered if not _machine_elsewhere(each))
    machine = _machine_elsewhere(check_name(name))
    if machine:
        raise UsageError(
            f"A server named {name!r} was launched on {machine}, and may run there.",
            remedy=f"Choose another --name; if it has ended or should, close its record first: seatrial stop {name}.",
        )
    return name


def running_under(name: str) -> Server | None:
    """Return the server that runs or starts under a name; None if there is none, or if it is about to end."""
    server = server_of(folder_of(name))
    if server is None or not server.running or server.abandoned or server.state in {"ending", "elsewhere"}:
        return None
    return server


@contextlib.contextmanager
def claimed(name: str, *, limit_s: float) -> Iterator[ServerFolder | Server]:
    """Yield the server that runs or starts under a name; if there is none, its folder, claimed for a launch.

    Raises:
        UsageError: If a launch in another process holds the name for ``limit_s`` seconds and starts nothing.

    """
    begun = time.monotonic()
    while True:
        with launching(name) as free:
            server = running_under(name)
            if server is None and free:
                yield folder_of(name)
                return
        if server is not None:
            yield server
            return
        if time.monotonic() - begun > limit_s:
            raise UsageError(
                f"Another launch of {name!r} is under way, and has started nothing for {format_seconds(limit_s)}.",
                remedy="Look at the process that launches it: it may be suspended. Or choose another --name.",
            )
        time.sleep(_POLL_S)


def _machine_elsewhere(name: str) -> str:
    """Return the machine on which a server of this name may run, empty if that is this one."""
    server = server_of(folder_of(name))
    return server.record.machine if server is not None and server.state == "elsewhere" else ""


def _slug(model: str) -> str:
    text = re.sub(r"[^a-z0-9._-]+", "-", model.rpartition("/")[2].lower()).strip("-._")[:48]
    return text if NAME.fullmatch(text) else "server"
