"""A widget in a notebook, with what it shows as a page and as text: a saved notebook has no kernel to draw it."""

from __future__ import annotations

from typing import Any


def show_widget(widget: Any, page: str, text: str) -> None:
    """Show a widget where widgets live, else the page (GitHub, an HTML export), else the text.

    Args:
        widget: An ipywidgets widget.
        page: What it shows now, as HTML; every text from outside is escaped already.
        text: The same as plain text.

    """
    from IPython.display import display

    display({**widget._repr_mimebundle_(), "text/html": page, "text/plain": text}, raw=True)  # type: ignore[no-untyped-call]
