"""Widgets with their contents as HTML and as text, for a saved notebook that no kernel draws."""

from __future__ import annotations

from typing import Any


def show_widget(widget: Any, page: str, text: str) -> None:
    """Show a widget in a front end that draws widgets; elsewhere its HTML (GitHub, an export) or its text.

    Args:
        widget: An ipywidgets widget.
        page: Its contents as HTML, with every text from outside escaped.
        text: Its contents as plain text.

    """
    from IPython.display import display

    display({**widget._repr_mimebundle_(), "text/html": page, "text/plain": text}, raw=True)  # type: ignore[no-untyped-call]
