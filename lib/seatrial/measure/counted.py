"""Adds to a load level what server and machine counted during it: accepted drafts, preemptions, cached tokens, energy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from seatrial.measure.types import Completion, Point, Sample

if TYPE_CHECKING:  # the measuring client does without the planner, which engines bring
    from seatrial.server.metrics import ServerMetrics

_LONGEST_GAP_S = 3.0  # between two readings of power, for the energy between them to be known
_LEAST_COVERED = 0.5  # of a level, by readings of power


def with_counted(
    point: Point,
    completions: Sequence[Completion],
    samples: Sequence[Sample],
    before: ServerMetrics | None,
    after: ServerMetrics | None,
) -> Point:
    """Return the point with what was counted during it; what nobody counts stays None.

    Args:
        point: The level.
        completions: Its requests.
        samples: Its telemetry.
        before: The server's counts when the level began.
        after: Its counts when the level ended.

    """
    point = with_drafts(point, completions, before, after)
    tokens = sum(one.tokens for one in completions)
    joules = energy_j(samples, point.duration_s)
    cached = point.cached_tokens
    return replace(
        point,
        cached_tokens=grown(samples, "cached_tokens") if cached is None else cached,
        preemptions=grown(samples, "preemptions"),
        energy_per_token_j=joules / tokens if joules is not None and tokens else None,
    )


def with_drafts(
    point: Point, completions: Sequence[Completion], before: ServerMetrics | None, after: ServerMetrics | None
) -> Point:
    """Return the point with its drafts: by the answers' own counts if each has them, else by the server's page."""
    good = [one for one in completions if one.error is None]
    known = [(one.draft_steps, one.drafted_tokens, one.accepted_tokens) for one in good]
    if good and all(None not in counts for counts in known):
        return _drafted(point, *(sum(one or 0 for one in row) for row in zip(*known, strict=True)))
    if before is None or after is None:
        return point
    if before.accepted_tokens is None or after.accepted_tokens is None:
        return _stepped(point, before, after)
    accepted = after.accepted_tokens - before.accepted_tokens
    drafted = (after.drafted_tokens or 0) - (before.drafted_tokens or 0)
    if before.draft_steps is not None and after.draft_steps is not None:
        return _drafted(point, after.draft_steps - before.draft_steps, drafted, accepted)
    if before.generated_tokens is not None and after.generated_tokens is not None:
        # Each step yields one token of the model itself beside those accepted.
        return _drafted(point, after.generated_tokens - before.generated_tokens - accepted, drafted, accepted)
    return point


def _stepped(point: Point, before: ServerMetrics, after: ServerMetrics) -> Point:
    """Return the point with its acceptance by steps and generated tokens: SGLang counts no more than these."""
    counts = (before.draft_steps, after.draft_steps, before.generated_tokens, after.generated_tokens)
    if None in counts:
        return point
    steps_before, steps_after, generated_before, generated_after = (one or 0 for one in counts)
    steps, generated = steps_after - steps_before, generated_after - generated_before
    return replace(point, acceptance_length=generated / steps) if 0 < steps <= generated else point


def _drafted(point: Point, steps: int, drafted: int, accepted: int) -> Point:
    if steps <= 0 or drafted <= 0 or not 0 <= accepted <= drafted:  # nothing was drafted, or the server began anew
        return point
    return replace(point, acceptance_length=1 + accepted / steps, drafted_tokens=drafted, accepted_tokens=accepted)


def grown(samples: Sequence[Sample], name: str) -> int | None:
    """Return by how much a reading that only grows has grown; None if it was not read twice, or went back."""
    known = [value for one in samples if (value := getattr(one, name)) is not None]
    if len(known) < 2 or any(later < earlier for earlier, later in pairwise(known)):  # noqa: PLR2004 -- first and last
        return None
    return int(known[-1] - known[0])


def energy_j(samples: Sequence[Sample], duration_s: float) -> float | None:
    """Return the energy of all GPUs over a level, from readings of their power; None if too few are known.

    The readings cover the level except its ends, for which their mean power counts.
    """
    known = [(one.at_s, sum(power)) for one in samples if (power := _power_w(one)) is not None]
    joules = covered = 0.0
    for (begin, first), (end, last) in pairwise(known):
        if end - begin > _LONGEST_GAP_S:
            return None
        covered += end - begin
        joules += (first + last) / 2 * (end - begin)
    return joules * duration_s / covered if covered > 0 and covered >= _LEAST_COVERED * duration_s else None


def missing_energy(points: Sequence[Point], samples: Sequence[Sample]) -> dict[str, str]:
    """Return why a level has no energy for each token; empty if all have."""
    unmeasured = any(point.energy_per_token_j is None for point in points)
    return {"energy_per_token_j": why_no_energy(samples)} if unmeasured else {}


def why_no_energy(samples: Sequence[Sample]) -> str:
    """Return why no energy is known."""
    if not any(one.gpu_power_w for one in samples):
        return "no power of a GPU was read"
    if any(None in one.gpu_power_w for one in samples):
        return "a GPU did not tell its power"
    return "the power was read too seldom"


def _power_w(sample: Sample) -> list[float] | None:
    """Return the power of each GPU, None if one is not known: the sum would be too small."""
    known = [power for power in sample.gpu_power_w if power is not None]
    return known if known and len(known) == len(sample.gpu_power_w) else None
