"""What was predicted beside what was measured, as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from seatrial.launching.learned_speed import Compared
from seatrial.units import format_bytes, format_rate, format_seconds
from seatrial.view.tables.table import Table

_FORMATS: dict[str, Callable[[float], str]] = {"bytes": format_bytes, "s": format_seconds, "tok/s": format_rate}


def table_predicted(compared: Sequence[Compared], *, kept: bool = False) -> Table:
    """Return a row for each figure, with the ratio of measured and predicted.

    Args:
        compared: The figures.
        kept: The next prediction on this machine uses the ratios.

    """
    ratios = [max(one.ratio, 1 / one.ratio) for one in compared if one.ratio > 0]
    finding = f"Measured within a factor of {max(ratios):.2f} of what was predicted" if ratios else "Nothing to compare"
    return Table(
        title=finding,
        columns=("Figure", "Predicted>", "Measured>", "Ratio>", "Measured by"),
        rows=tuple(
            (
                one.what,
                _FORMATS[one.unit](one.predicted),
                _FORMATS[one.unit](one.measured),
                f"{one.ratio:.2f}",
                one.source,
            )
            for one in compared
        ),
        note="Ratio: measured over predicted. The next prediction for this machine, engine and checkpoint uses these times."
        if kept
        else "Ratio: measured over predicted.",
    )
