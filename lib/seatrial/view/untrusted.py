"""Text from outside (model output, engine logs, file names), shown as text and as nothing else.

A model can write escape codes that move the terminal's cursor, direction marks that turn a
line around, or markup. ``plain_text`` removes the invisible parts; its caller escapes the rest.
"""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass

from seatrial.printable import UNSEEN

_LONGEST = 20_000

_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # OSC: window titles, hyperlinks
    r"|[\x1b\x9b]\[?[0-?]*[ -/]*[@-~]"  # CSI and two-character escapes: colours, cursor
)
_KEPT = {"\n", "\t"}
# Unicode categories of control, format (bidi, zero width, tags), surrogate, private and unassigned characters.
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn"}


def plain_text(text: object, limit: int = _LONGEST) -> str:
    """Return ``text`` without escape sequences and invisible characters, cut after ``limit`` characters.

    Args:
        text: Any value; ``str`` converts other types.
        limit: Most characters; a note at the end counts those cut off.

    """
    whole = text if isinstance(text, str) else str(text)
    part = whole[: 2 * limit].replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    if not part.isascii() or not part.isprintable():
        part = _ESCAPES.sub("", part)
        part = "".join(sign for sign in part if sign in _KEPT or _is_seen(sign))
    if len(part) > limit or len(whole) > 2 * limit:
        return f"{part[:limit]} ... ({len(whole) - limit:,} more characters)"
    return part


def _is_seen(sign: str) -> bool:
    return unicodedata.category(sign) not in _HIDDEN and not UNSEEN.match(sign)


_BLOCK = (
    "white-space:pre-wrap;overflow-wrap:anywhere;font-family:ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace"
)
"""Style of a block of text: an exported notebook would show a command in the font of prose."""


@dataclass(frozen=True, slots=True)
class PlainText:
    """Untrusted text as the value of a notebook cell, never read as HTML or Markdown.

    Attributes:
        text: The text as received.
        title: Line above it.

    """

    text: str
    title: str = ""

    def to_html(self) -> str:
        """Return the escaped text in a block that wraps long lines."""
        head = f"<p><strong>{html.escape(plain_text(self.title))}</strong></p>" if self.title else ""
        body = html.escape(plain_text(self.text))
        return f'{head}<pre class="seatrial-plain" style="{_BLOCK}">{body}</pre>'

    def to_text(self) -> str:
        """Return the text for terminals and saved notebooks."""
        body = plain_text(self.text)
        return f"{plain_text(self.title)}\n{body}" if self.title else body

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/html": self.to_html(), "text/plain": self.to_text()}
