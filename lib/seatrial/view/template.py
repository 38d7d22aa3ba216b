"""HTML from Jinja templates: every value escaped and free of invisible characters."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from seatrial.view.untrusted import plain_text

if TYPE_CHECKING:
    from jinja2 import Template


@cache
def load_template(package: str, name: str) -> Template:
    """Load a template of ours.

    Every value is cleaned by ``plain_text`` and escaped, except that of ``trusted``.

    Args:
        package: Package the file lies in.
        name: File name, such as ``report.html.j2``.

    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_clean,
    )
    environment.filters["text"] = plain_text
    environment.globals["zip"] = zip
    return environment.get_template(name)


def trusted(html: str) -> Markup:
    """Mark our own styles and drawings, whose texts are escaped already, so that a template inserts them as they are."""
    return Markup(html)  # noqa: S704 -- see above


def _clean(value: Any) -> Any:
    return value if hasattr(value, "__html__") else plain_text(value)
