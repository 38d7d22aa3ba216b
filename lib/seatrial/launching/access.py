"""Who may reach a server, and with which key: decided before anything is started."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.errors import UsageError
from seatrial.secret_text import SECRET_NAME, looks_secret
from seatrial.server.address import listening_address, plain
from seatrial.server.keys import own_key
from seatrial.server.processes import LOOPBACK

if TYPE_CHECKING:  # an engine's own process imports this package too, and need not load the planner
    from seatrial.engines.types import Command

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Access:
    """Who may reach a server. By default this machine alone, with a random key.

    Attributes:
        host: Address to listen on, or a name that resolves to one of this machine.
        expose: Whether that may be an address other machines reach.
        api_key_file: File with a key of your own, readable by you alone.
        api_key_env: Environment variable with a key of your own.

    """

    host: str = LOOPBACK
    expose: bool = False
    api_key_file: Path | None = None
    api_key_env: str | None = None

    def own_key(self) -> str | None:
        """The key a person brought, None where a random one is wanted.

        Raises:
            UsageError: It cannot be read, others can read it, or it is too weak.

        """
        return own_key(self.api_key_file, self.api_key_env)


def is_keyed(engine: str) -> bool:
    """Whether an engine is known to refuse requests without its key."""
    from seatrial.engines.extra import engine_options

    known = engine_options(engine)
    return known is not None and known.key


def secured(command: Command, access: Access, options: Sequence[str] = ()) -> Command:
    """The command with its options and the one address it listens on.

    Args:
        command: What is to be started.
        access: Who may reach it.
        options: What a person adds; see :func:`seatrial.engines.extra.add_options`.

    Raises:
        UsageError: An address, option or variable that is not possible.
        RefusedError: One that is never started.

    """
    from seatrial.engines.extra import add_options, check_flags, host_of, set_host

    check_flags(command)
    _check_env(command.env)
    host = access.host if access.host != LOOPBACK else host_of(command) or LOOPBACK
    address = listening_address(host, expose=access.expose, keyed=is_keyed(command.engine), engine=command.engine)
    command = add_options(command, options)
    if address != (host_of(command) or LOOPBACK):
        command = set_host(command, address)
    return replace(command, notes=(*command.notes, *_warnings(command.engine, address)))


def listens_on(command: Command) -> str:
    """The address a secured command names."""
    from seatrial.engines.extra import host_of

    return host_of(command) or LOOPBACK


def environment_without(engine: str) -> dict[str, str]:
    """This process's environment without what would open an engine's doors from there."""
    from seatrial.engines.extra import closed_variables

    closed = [pattern.casefold() for pattern in closed_variables(engine)]
    return {
        name: value
        for name, value in os.environ.items()
        if not any(fnmatch.fnmatchcase(name.casefold(), pattern) for pattern in closed)
    }


def _warnings(engine: str, address: str) -> list[str]:
    """What a person should know who lets other machines in."""
    from seatrial.catalog.engine_facts import engine_facts

    if plain(address).is_loopback:
        return []
    gaps = "; ".join(engine_facts(engine).versions.gaps)
    return [
        f"It listens on {address}: whoever reaches that may try the key, which crosses the network in clear text.",
        f"{engine} leaves open: {gaps}.",
    ]


def _check_env(env: Mapping[str, str]) -> None:
    """Refuse secrets in a command's own variables: those are written into the server's record."""
    for name, value in env.items():
        if not _VARIABLE.fullmatch(name) or "\0" in value:
            raise UsageError(f"{name[:80]!r} is no environment variable.", remedy="Correct the command's env.")
        if SECRET_NAME.search(name) or looks_secret(value):
            raise UsageError(
                f"The command's variable {name} looks like a secret; a command is written into the server's record.",
                remedy=f"Set {name} in the environment of the process that launches: the engine inherits it.",
            )


__all__ = ["Access", "environment_without", "is_keyed", "listens_on", "secured"]
