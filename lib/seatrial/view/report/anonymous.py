"""Masks what a text must not tell strangers: secrets, names of people and computers, home folders, addresses."""

from __future__ import annotations

import getpass
import ipaddress
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress

from seatrial.errors import UsageError
from seatrial.paths import home
from seatrial.secret_text import MASK, cleared

_KEY_BEGIN = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?:-----)?")
_KEY_END = re.compile(r"-----END [A-Z ]{0,40}PRIVATE KEY-----")
_SCHEME = re.compile(r"(?i)\b(bearer|basic|digest)\s+(?!\[)[\w+/=.:-]{4,}")
# A name that promises a secret, then its value: ``api_key=...``, ``"password": "..."``, ``--hf-token ...``, ``PAT: ...``.
_NAMED = re.compile(
    r"""(?ix)
    ( (?: (?<![a-z]) (?: [a-z0-9]+ [-_] )* (?: api[-_]?key | key | secret | authori[sz]ation | credentials? | cookie
        | signature | sig | pat | pwd | token (?! s ) )
      | (?<![a-z0-9]) [a-z0-9_-]* pass (?: word | wd | phrase ) )
      (?: [-_] (?: key | id | value ) )* (?: \\* ["'] )? \s* [=:] \s* )
    ( \\+ " [^"\n]* " | " [^"\n]* " | ' [^'\n]* ' | [^\s,;&)\]}"']+ )"""
)
_OPTION = re.compile(r"""(?i)(--[\w-]*(?:key|token|secret|password|passphrase)(?:[= ]))("[^"\n]*"|'[^'\n]*'|\S+)""")
_RANDOM = re.compile(r"(?<![A-Za-z0-9])(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{32,}(?![A-Za-z0-9])")
_HOME = re.compile(
    r"""(?:/[\w.-]+)*/(?:home|Users)/([^/\\\s"':;,)<>|]+)|[A-Za-z]:\\+Users\\+([^\\\s"':;,)<>|]+)|(?<![\w.])/root(?![\w.-])"""
)
_PATH = re.compile(r"""(?<![\w.~:/\]-])(?:/[^\s"'`<>|:;,()\[\]{}=/]+){2,}""")
_OF_THE_SYSTEM = ("/usr/", "/opt/", "/lib/", "/lib64/", "/proc/", "/sys/", "/dev/", "/bin/", "/v1/")
_PACKAGES = re.compile(r"/(?:site|dist)-packages/")
_AT = re.compile(r"\b[\w.+-]+@[\w.-]*\w")
_URL = re.compile(r"(?i)\b([a-z][a-z0-9+]{1,9}://)(?:[^\s/@]*@)?(\[[^\]\s]*\]|[^\s/:?#\"'<>)\],]+)")
_PUBLIC = re.compile(
    r"(?i)^(?:localhost|\[::1\]|127\.[\d.]+|0\.0\.0\.0|(?:[\w-]+\.)*(?:huggingface\.co|hf\.co|github\.com|pypi\.org|nvidia\.com|pytorch\.org))$"
)
_DOMAIN = re.compile(
    r"(?i)(?<![\w.@/-])(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+"
    r"(?:com|org|net|edu|gov|mil|local|localdomain|internal|intranet|intra|lan|corp|home|cloud|cluster|dev|ai|de|uk|fr|nl|ch|eu|us|cn|jp|kr)"
    r"(?![\w-])"
)
_CLOUD_HOST = re.compile(r"(?i)\bip(?:-\d{1,3}){4}\b")
_USER = re.compile(
    r"""(?i)(\b(?:user|username|user_name|login|logname)(?:\\*["'])?\s*[=:]\s*(?:\\*["'])?|\buid=\d+\()([\w.-]+)"""
)
_HOST = re.compile(
    r"""(?i)(\b(?:host|hostname|node|nodename|server_name|machine)["']?\s*[=:]\s*["']?)(?!localhost|127\.|\[)([\w.-]*[a-z][\w.-]*)"""
)
_UUID = re.compile(r"(?i)\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_MAC = re.compile(r"(?i)(?<![\w:-])[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}(?![\w:-])")
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\w)")
_IPV6 = re.compile(r"(?i)(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?:%\w+)?(?![\w:])")

_NO_NAMES = frozenset({"root", "user", "users", "home", "shared", "public", "localhost", "admin", "nobody", "runner"})
_SHORTEST_NAME, _LONGEST_LINE = 3, 400


def anonymous(text: str) -> str:
    """Return ``text`` without secrets, names of users and computers, home folders, addresses and serial numbers.

    Lines of more than 400 characters are cut: on endless ones the patterns would take for ever.
    """
    lines = cleared("\n".join(map(_cut, _without_private_keys(text).split("\n")))).split("\n")
    people = sorted({name for line in lines for name in _people(line)} | set(_oneself()), key=len, reverse=True)
    names = [(_as_word(name), "[user]") for name in people] + [(_as_word(name), "[host]") for name in _computers()]
    return "\n".join(_anonymous_line(line, names) for line in lines)


def _without_private_keys(text: str) -> str:
    first, *others = _KEY_BEGIN.split(text)
    return first + "".join(MASK + (_KEY_END.split(part, 1)[1:] or [""])[0] for part in others)


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]} ..."


def _as_word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?i)(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])")


def _anonymous_line(line: str, names: Sequence[tuple[re.Pattern[str], str]]) -> str:
    if not line.strip():
        return line
    line = _SCHEME.sub(lambda found: f"{found[1]} {MASK}", line)
    line = _OPTION.sub(lambda found: found[1] + MASK, line)
    line = _NAMED.sub(_masked_value, line)
    line = _HOME.sub("~", line)
    line = _PATH.sub(_shorter_path, line)
    line = _URL.sub(lambda found: found[1] + (found[2] if _PUBLIC.match(found[2]) else "[host]"), line)
    line = _AT.sub("[user]@[host]", line)
    line = _USER.sub(lambda found: f"{found[1]}[user]", line)
    line = _HOST.sub(lambda found: f"{found[1]}[host]", line)
    for name, stands in names:
        line = name.sub(stands, line)
    line = _CLOUD_HOST.sub("[host]", line)
    line = _DOMAIN.sub(lambda found: found[0] if _PUBLIC.match(found[0]) else "[host]", line)
    line = _MAC.sub("[address]", _UUID.sub("[id]", line))
    line = _IPV6.sub(_masked_address, _IPV4.sub(_masked_address, line))
    return _RANDOM.sub(MASK, line)


def _shorter_path(found: re.Match[str]) -> str:
    """Return a path without the folders that people name."""
    path = found[0]
    if path.startswith(_OF_THE_SYSTEM):
        return path
    package = _PACKAGES.search(path)
    return f"...{path[package.start() :]}" if package else f".../{path.rpartition('/')[2]}"


def _masked_value(found: re.Match[str]) -> str:
    value = found[2].strip("\\\"'")
    figure = _FIGURE.fullmatch(value) and "token" in found[1].lower()  # "time to first token: 0.05"
    return found[0] if figure or found[2] == MASK or value in _HARMLESS else found[1] + MASK


_FIGURE = re.compile(r"[\d.]{1,8}")
_HARMLESS = frozenset({"", "None", "null", "true", "false", "True", "False", "unknown", "not"})


def _masked_address(found: re.Match[str]) -> str:
    try:
        address = ipaddress.ip_address(found[0].partition("%")[0])
    except ValueError:  # a time of day, a version
        return found[0]
    # llama.cpp's log begins each line with a time such as 0.10.222.36; no machine has an address of 0.0.0.0/8.
    return found[0] if address.is_loopback or found[0].startswith("0.") else "[address]"


def _people(line: str) -> Iterator[str]:
    """Yield the names of users by whose homes a line names something."""
    found = [name for match in _HOME.finditer(line) for name in match.groups() if name]
    yield from filter(_is_name, found)


def _oneself() -> Iterator[str]:
    """Yield the names of whoever runs this."""
    found = []
    with suppress(OSError, KeyError):  # a container whose user has no name
        found.append(getpass.getuser())
    with suppress(UsageError):  # no home
        found.append(home().name)
    yield from filter(_is_name, found)


def _is_name(text: str) -> bool:
    return len(text) >= _SHORTEST_NAME and text.lower() not in _NO_NAMES


def _computers() -> list[str]:
    name = socket.gethostname()
    return sorted(filter(_is_name, {name, name.partition(".")[0]}), key=len, reverse=True)
