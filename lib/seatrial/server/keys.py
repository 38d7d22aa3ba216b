"""API keys of a person's own, from a file or the environment; never from an argument."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from seatrial import environment
from seatrial.errors import UsageError

LEAST_CHARACTERS = 22  # 128 bits of letters and digits
_LEAST_DIFFERENT = 10
_MOST_CHARACTERS = 512
# Characters of a bearer token (RFC 6750); none of them means anything to YAML, shells and lists of keys.
_KEY = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_RANDOM = "Leave it out, so that a random key is made; or make one: openssl rand -hex 32."


def own_key(file: Path | None = None, variable: str | None = None) -> str | None:
    """Return a person's own key, None if they gave none. No message repeats it.

    Args:
        file: File that holds it, readable by this user only.
        variable: Name of an environment variable that holds it.

    Raises:
        UsageError: If both are given, one does not exist, others can read the file, or the key is too weak.

    """
    if file is not None and variable is not None:
        raise UsageError("The API key is to come from a file and from a variable.", remedy="Give one of the two.")
    if file is not None:
        return _checked(_read(file), f"in {file}")
    if variable is not None:
        if not _VARIABLE.fullmatch(variable):
            # Not repeated: who mistakes the option may have typed the key itself.
            raise UsageError("--api-key-env takes the name of an environment variable.", remedy="Give only its name.")
        key = environment.variable(variable)
        if key is None:
            raise UsageError(
                f"There is no API key in {variable}: {variable} is not set, or blank.", remedy=f"Set {variable}."
            )
        return _checked(key, f"in {variable}")
    return None


def _read(file: Path) -> str:
    try:
        # Checked once open, so that it cannot change before it is read. O_NONBLOCK: a pipe would wait for a writer.
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
            status = os.fstat(opened.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_uid not in {os.getuid(), 0}:
                raise UsageError(f"{file} is no file of yours.", remedy="Write the key into a file of your own.")
            if status.st_mode & _OTHERS:
                raise UsageError(
                    f"{file} can be read by others (mode {stat.S_IMODE(status.st_mode):04o}).",
                    remedy=f"chmod 600 {file}, and use a new key: this one may have been read.",
                )
            return opened.read(4 * _MOST_CHARACTERS).decode("ascii", errors="replace")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "no such name is possible"
        raise UsageError(f"The API key file cannot be read: {why}.", remedy="Check the path.") from error


def _checked(text: str, where: str) -> str:
    key = text.strip(" \t\r\n")
    if not key:
        raise UsageError(f"The API key {where} is blank.", remedy=_RANDOM)
    if len(key) < LEAST_CHARACTERS or len(set(key)) < _LEAST_DIFFERENT:
        raise UsageError(
            f"The API key {where} is too easy to guess: at least {LEAST_CHARACTERS} characters, "
            f"{_LEAST_DIFFERENT} of them different, are needed.",
            remedy=_RANDOM,
        )
    if len(key) > _MOST_CHARACTERS or not _KEY.fullmatch(key):
        raise UsageError(
            f"The API key {where} is longer than {_MOST_CHARACTERS} characters, or holds others than A-Z a-z 0-9 . _ ~ + / - =.",
            remedy=_RANDOM,
        )
    return key
