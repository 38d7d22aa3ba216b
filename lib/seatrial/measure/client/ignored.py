"""Notices that a server ignored a wish: it reasoned although asked not to, or called no function."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.measure.client.request_fields import CALL
from seatrial.measure.types import Completion
from seatrial.measure.workload import Workload


def ignored_wishes(completions: Sequence[Completion], workload: Workload, label: str) -> tuple[str, ...]:
    """Return a note on each wish that answers of a level do not show, one sentence each."""
    good = [one for one in completions if one.error is None and one.right is None]
    if not good:
        return ()
    thought = sum(one.reasons_first for one in good)
    notes = []
    if workload.reasoning == "on" and not thought:
        notes.append(
            f"At {label} no answer had reasoning that can be told apart: the server ignored the wish, or its parser of "
            "reasoning is off."
        )
    if workload.reasoning == "off" and thought:
        notes.append(f"At {label} {thought} of {len(good)} answers began with reasoning, which was asked to be off.")
    if workload.tools:
        calls = sum(CALL in one.text for one in good)
        notes.append(f"At {label} {calls} of {len(good)} answers called the function that was offered.")
    return tuple(notes)
