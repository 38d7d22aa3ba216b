"""Tells if anybody sees widgets."""

from __future__ import annotations

from seatrial.environment import variable

HEADLESS = "SEATRIAL_HEADLESS"


def is_headless() -> bool:
    """Return True if nobody sees widgets: a batch run or test sets a variable, or this is no notebook kernel."""
    if variable(HEADLESS) not in {None, "0"}:
        return True
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return True
    return not hasattr(get_ipython(), "kernel")
