"""Decides who may reach a server, and with which key, before anything is started."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from seatrial.catalog.engine_facts import engine_facts
from seatrial.engines.extra import add_options, check_flags, closed_variables, engine_options, host_of, set_host
from seatrial.engines.types import Command
from seatrial.environment import inherited
from seatrial.errors import UsageError
from seatrial.secret_text import SECRET_NAME, looks_secret
from seatrial.server.address import listening_address
from seatrial.server.keys import own_key
from seatrial.server.processes import LOOPBACK, plain

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Access:
    """Who may reach a server: by default only this machine, with a random key."""

    host: str = LOOPBACK  # address of this machine, or a name that resolves to one
    expose: bool = False  # True allows an address that other machines reach
    api_key_file: Path | None = None  # a person's own key, in a file that only they can read
    api_key_env: str | None = None  # a person's own key, in an environment variable

    def own_key(self) -> str | None:
        """Return a person's own key, None for a random one.

        Raises:
            UsageError: If the key cannot be read, others can read it, or it is too weak.

        """
        return own_key(self.api_key_file, self.api_key_env)


def is_keyed(engine: str) -> bool:
    """Return True if the engine is known to refuse requests without its key."""
    known = engine_options(engine)
    return known is not None and known.key


def secured(command: Command, access: Access, options: Sequence[str] = ()) -> Command:
    """Return the command with its options and the one address it listens on.

    Args:
        command: The command to start.
        access: Who may reach it.
        options: A person's own; see :func:`seatrial.engines.extra.add_options`.

    Raises:
        UsageError: If an address, option or variable is not possible.
        RefusedError: If one is never started.

    """
    check_flags(command)
    _check_env(command.env)
    host = access.host if access.host != LOOPBACK else host_of(command) or LOOPBACK
    address = listening_address(host, expose=access.expose, keyed=is_keyed(command.engine), engine=command.engine)
    command = add_options(command, options)
    if address != listens_on(command):
        command = set_host(command, address)
    return replace(command, notes=(*command.notes, *_warnings(command.engine, address)))


def listens_on(command: Command) -> str:
    """Return the address a secured command names."""
    return host_of(command) or LOOPBACK


def environment_without(engine: str) -> dict[str, str]:
    """Return this process's environment without the variables that would let others reach the engine."""
    closed = [pattern.casefold() for pattern in closed_variables(engine)]
    return {
        name: value
        for name, value in inherited().items()
        if not any(fnmatch.fnmatchcase(name.casefold(), pattern) for pattern in closed)
    }


def _warnings(engine: str, address: str) -> list[str]:
    """Return warnings for a person who lets other machines in."""
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
