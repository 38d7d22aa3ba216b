"""Text from outside as a person may read it in a terminal: nothing in it is obeyed, and nothing is hidden."""

from __future__ import annotations


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
