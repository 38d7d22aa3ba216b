"""Splits a line of an engine's log into prefixes (process, rank, clock, level, place in the code) and message."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_LONGEST_MESSAGE = 600  # characters that are matched: engines may echo requests in lines without end
_LONGEST_LINE = 2 * _LONGEST_MESSAGE
_MOST_PREFIXES = 12  # log drivers, ranks and loggers each add theirs
_COLOUR = re.compile(r"(?:\x1b|\\x1b|␛)\[[\d;]*[A-Za-z]")
_PREFIX = re.compile(
    r"""(?x)
      \s?\((?=[^)]*\b(?:pid|rank)=)[^)]*\)\ ?                                    # (EngineCore_DP0 pid=123)
    | \s?\[?[rR]ank[ ]?\d+\]?:\ ?                                                 # [rank3]:
    | \s?\[(?P<c10d>[A-Z])\d{3,4}\ [^\]]*\]\ ?                                    # [E909 08:45:31.91 ProcessGroupNCCL.cpp:1589]
    | \s?\[\d{4}-\d\d-\d\d[^\]]*\]\ ?                                             # [2026-04-16 01:02:09 DP0 TP1]
    | \d{4}-\d\d-\d\d[T ][\d:.,]+(?:Z|[+-]\d\d:?\d\d)?(?:\ -)?\s                  # 2026-11-23 17:35:25,342 -
    | (?P<level>TRACE|DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL)(?P<end>:\w*:|:\ *|\ +-\ |\ )
        (?:\d\d-\d\d\ [\d:.]+\ )?(?:\[[\w/.<>-]+:\d+\]\ ?)?                       # ERROR 09-28 15:47:24 [core.py:718]
    | \[(?P<box>TRACE|DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL)\]\ ?
    | \d+(?:\.\d+){2,3}\ (?P<letter>[EIWD])\                                      # llama.cpp: 0.00.003.630 E
    | [A-Za-z][\w.-]*\ +\|\                                                       # docker compose: engine-1  |
    """
)
_INSIDE = re.compile(r"\s|$|Traceback \(|During handling of|The above exception was|[|+ ]*[-~^|+]{3,}\s*$|[+|] ")
_LEADS_ON = re.compile(r"During handling of|The above exception was")
_RAISES = re.compile(
    r"(?:(?:[A-Za-z_]\w*\.)*(?:[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Expired|Failure|NotFound|Timeout)|Exception)"
    r"|(?:[a-z_]\w*\.)+(?:exc|errors?|exceptions?)\.[A-Z]\w*)(?::\s|:?$)"
)
_WARNS = frozenset({"WARN", "WARNING", "W"})
# llama.cpp marks the level of each line: "0.00.003.630 E gguf_init: ...".
_ERROR = re.compile(
    r"^[\d.]+ E |\b(ERROR|CRITICAL|FATAL)\b|^\W*([Ee]rror|[Ff]atal)\b|^\w*(Error|Exception)\b|^Traceback"
)
_INFORMS = frozenset({"TRACE", "DEBUG", "INFO", "I", "D", *_WARNS})


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log."""

    text: str  # with prefixes, without colours, cut if long
    message: str  # without prefixes
    informs: bool = False  # True if its level is below error
    warns: bool = False  # True if its level is a warning

    @property
    def raises(self) -> bool:
        """True if it is the last line of a traceback: ``ValueError: why``."""
        return _RAISES.match(self.message) is not None

    @property
    def reports_error(self) -> bool:
        """True if its level, or its first word, is that of an error."""
        return not self.informs and _ERROR.search(self.text) is not None


def split_lines(lines: Sequence[str]) -> list[Line]:
    """Return each line with its message."""
    return [_line(_COLOUR.sub("", line[:_LONGEST_LINE]).rstrip()) for line in lines]


def is_inside(line: Line) -> bool:
    """Return True if this line continues a traceback."""
    return _INSIDE.match(line.message) is not None


def leads_on(line: Line) -> bool:
    """Return True if the next traceback belongs to the one before."""
    return _LEADS_ON.match(line.message) is not None


def _line(text: str) -> Line:
    message, level = text, ""
    for _ in range(_MOST_PREFIXES):
        found = _PREFIX.match(message)
        if found is None:
            break
        message = message[found.end() :]
        level = next((value for name, value in found.groupdict().items() if name != "end" and value), level)
    return Line(text, message[:_LONGEST_MESSAGE], level in _INFORMS, level in _WARNS)
