"""Reads how many tokens of an answer were drafted and accepted, from the last events of its stream.

llama.cpp counts in ``timings``, SGLang in ``meta_info``, others in the details of ``usage``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from seatrial.json_text import JsonError, parse_json
from seatrial.measure.stream.usage import part, whole

_ACCEPTED = b"accept"  # is in each spelling; without it an event need not be read again
_MOST = 1 << 40  # tokens; more is no count


class Drafts(NamedTuple):
    """Drafts of one answer."""

    steps: int  # of the model, each with drafts to check
    drafted: int
    accepted: int


def read_drafts(events: Iterable[bytes], tokens: int) -> Drafts | None:
    """Return the drafts of an answer of ``tokens`` tokens, None if the server counts none or its counts cannot be right."""
    for event in events:
        if _ACCEPTED not in event:
            continue
        try:
            document = parse_json(event, mend_halves=True)
        except JsonError:
            continue
        for counted, drafted, accepted in _counts(document) if isinstance(document, dict) else ():
            if drafted is None or accepted is None or not 0 <= accepted <= drafted <= _MOST or not drafted:
                continue
            # A step yields one token of the model itself beside those accepted.
            steps = tokens - accepted if counted is None else counted
            if 0 < steps <= _MOST:
                return Drafts(steps, drafted, accepted)
    return None


def _counts(document: dict[str, Any]) -> Iterator[tuple[int | None, int | None, int | None]]:
    """Yield steps, drafted and accepted tokens in each spelling."""
    timings = part(document, "timings")
    yield None, whole(timings.get("draft_n")), whole(timings.get("draft_n_accepted"))
    usage = part(document, "usage")
    details = part(usage, "completion_tokens_details")
    accepted, rejected = (whole(details.get(f"{name}_prediction_tokens")) for name in ("accepted", "rejected"))
    yield None, None if accepted is None or rejected is None else accepted + rejected, accepted
    choices = document.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    for place in (usage, part(document, "meta_info"), part(first, "meta_info")):
        names = ("spec_verify_ct", "spec_draft_token_num", "spec_accept_token_num")
        steps, drafted, accepted = (whole(place.get(name)) for name in names)
        yield steps, drafted, accepted
