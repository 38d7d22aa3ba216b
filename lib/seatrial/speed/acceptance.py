"""Says how many tokens a step yields with speculative decoding: by method, number of drafts, model, text and thinking."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from seatrial.json_text import parse_json
from seatrial.records import Origin

RANDOM = "random"
"""Text of the published benchmark: random tokens."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Tokens a step yields, measured with one model on one kind of text."""

    model: str | None  # of the catalog; None if it does not matter
    method: str  # what drafts: "mtp" or "dspark"
    workload: str  # random, code, prose, mixed, reference
    thinking: str | None  # "on" or "off"; None if it does not say
    lengths: tuple[tuple[int, float], ...]  # drafted tokens and tokens a step yields, by drafted tokens
    origin: Origin
    source: str
    measured_with: str  # release, engine and text
    engine: str | None  # id of the engine, None if it holds for the servers on GPUs

    def tokens(self, drafts: int) -> float:
        """Return the tokens a step yields: on a line between known numbers of drafts, no more beyond the largest."""
        points = ((0, 1.0), *self.lengths)
        at = bisect_left(points, (drafts, 0.0))
        if at == len(points):
            return points[-1][1]
        (few, low), (many, high) = points[max(at, 1) - 1], points[max(at, 1)]
        return low + (high - low) * (drafts - few) / (many - few)


@cache
def acceptances() -> tuple[Acceptance, ...]:
    """Load acceptance.json."""
    document = parse_json(Path(__file__).with_name("acceptance.json").read_bytes())
    found = []
    for row in document["rows"]:
        lengths = row.pop("accepted", None)
        if lengths is None:
            # A share counts the drafted tokens that were accepted; the step yields one more.
            lengths = {drafts: 1 + int(drafts) * share for drafts, share in row.pop("share").items()}
        known = tuple(sorted((int(drafts), float(tokens)) for drafts, tokens in lengths.items()))
        found.append(Acceptance(lengths=known, **{name: value for name, value in row.items() if name != "checked"}))
    return tuple(found)


@cache
def find_acceptances(
    method: str, *, workload: str | None = None, model: str | None = None, engine: str | None = None
) -> tuple[Acceptance, ...]:
    """Return the rows of a method: those of the same model, else those of any model, else of the others.

    Args:
        method: What drafts, ``mtp`` or ``dspark``.
        workload: Kind of text; None for any.
        model: Id of the model in the catalog, such as ``flash``; None if unknown.
        engine: Engine id, if it has rows of its own.

    """
    rows = [
        row
        for row in acceptances()
        if row.method == method and row.engine == engine and workload in {None, row.workload}
    ]
    own, any_model = ([row for row in rows if row.model == name] for name in (model, None))
    return tuple(own or any_model or rows)


def accepted_tokens(
    drafts: int,
    method: str = "mtp",
    *,
    workload: str | None = RANDOM,
    model: str | None = None,
    engine: str | None = None,
) -> float:
    """Return the tokens a step yields; 1 without drafts.

    Args:
        drafts: Tokens drafted at each step.
        method: What drafts, ``mtp`` or ``dspark``.
        workload: Kind of text; None for the first that is known.
        model: Id of the model in the catalog, such as ``flash``; None if unknown.
        engine: Engine id, if it has rows of its own.

    Raises:
        KeyError: No row has this method and text.

    """
    if drafts <= 0:
        return 1.0
    for row in find_acceptances(method, workload=workload, model=model, engine=engine):
        return row.tokens(drafts)
    raise KeyError(f"acceptance.json has no row for {method} and {workload or 'any'} text")
