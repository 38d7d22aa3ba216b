"""Makes text from outside safe to read in a terminal, which obeys nothing in it and hides nothing."""

from __future__ import annotations

LINE = 80
"""Characters of a name or address that a message repeats: one line of a terminal."""


def printable(text: str) -> str:
    """Return ``text`` with escapes for everything a terminal would obey or an eye would miss.

    Newlines and tabs stay. A line of a log, a name or a message may hold colours, links, cursor movements, invisible
    characters or text that runs backwards.
    """
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() or sign in "\n\t" else sign.encode("unicode_escape").decode() for sign in text
    )


def shortened(text: str, most: int = LINE) -> str:
    """Return ``text`` in at most ``most`` characters, cut with three dots if it is longer."""
    return text if len(text) <= most else f"{text[: most - 3]}..."
