"""Makes text from outside safe to read in a terminal, which obeys nothing in it and hides nothing.

This is the door that outside text goes through before it is shown. ``cli/streams.py`` puts it into the command line's
own streams, so that nothing that prints can go round it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

LINE = 80
"""Characters of a name or address that a message repeats: one line of a terminal."""

# Python calls these printable, but an eye misses them: fillers, a blank of Braille, and selectors that choose a variant
# of the character before. U+FE0E and U+FE0F stay: they make a sign an emoji or a letter.
# Source: Default_Ignorable_Code_Point, https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt
UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0d\uffa0\U000e0100-\U000e01ef]")
_DOUBTFUL = re.compile(r"[^\n\t -~]")


def printable(text: str) -> str:
    """Return ``text`` with escapes for everything a terminal would obey or an eye would miss.

    Newlines and tabs stay. A line of a log, a name or a message may hold colours, links, cursor movements, invisible
    characters or text that runs backwards.
    """
    return escaped(text, lambda sign: sign.encode("unicode_escape").decode())


def escaped(text: str, how: Callable[[str], str]) -> str:
    """Return ``text`` with another form for each sign that a terminal would obey or an eye would miss."""
    return _DOUBTFUL.sub(lambda sign: sign[0] if seen(sign[0]) else how(sign[0]), text)


def seen(text: str) -> bool:
    """Return True if a terminal obeys nothing in ``text``, and an eye misses nothing."""
    return text.isprintable() and (text.isascii() or UNSEEN.search(text) is None)


def shortened(text: str, most: int = LINE) -> str:
    """Return ``text`` in at most ``most`` characters; dots stand for what was cut.

    A path or a hub id is cut in the middle, because its end tells most.
    """
    if len(text) <= most:
        return text
    kept = most - 3
    end = kept // 2 if "/" in text[:most] and " " not in text[:most] else 0
    return f"{text[: kept - end]}...{text[len(text) - end :]}"
