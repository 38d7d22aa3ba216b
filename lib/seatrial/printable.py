"""Text from outside as a person may read it in a terminal: nothing in it is obeyed, and nothing is hidden."""

from __future__ import annotations

LINE = 80
"""Characters of a name or address that a message repeats: what fits on a line of a terminal."""


def printable(text: str) -> str:
    """``text`` with everything a terminal would obey, or an eye would miss, written as an escape.

    Newlines and tabs stay. Logs, names and messages come from outside: a line may hold colours,
    links, cursor movements, invisible characters or text that runs backwards.
    """
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() or sign in "\n\t" else sign.encode("unicode_escape").decode() for sign in text
    )


def shortened(text: str, most: int = LINE) -> str:
    """``text`` in at most ``most`` characters, the last three dots where it was longer."""
    return text if len(text) <= most else f"{text[: most - 3]}..."
