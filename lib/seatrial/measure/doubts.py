"""Finds the figures of a load level that are not the server's own: times of a held-back stream, counts that cannot be right.

A gateway that buffers (16 KiB, half a second, the whole answer) sends the events of several tokens together: the client
then measures the gateway. A late client reads several events at once, too, and so it does with a server that sends the
tokens of a verify step one event each: both must be told apart. docs/measuring.md has the rules.
"""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.measure.types import Completion

_DOUBTFUL_SHARE = 0.25  # of the answers, from which on a level is in doubt
_FEWEST = 4  # chunks of an answer that is judged: two or three come in one read of a client that is busy for a moment
_LARGEST_STEP = 8  # tokens of a verify step with a drafter, on average over an answer
_SHORTEST_WAIT_S = 0.005  # between reads; a faster server is read in pieces of the client's own making
_LATE = 2  # a client that is late by half of the wait between reads explains them


def held_back(completions: Sequence[Completion], lag_s: float) -> str:
    """Return why the times of these answers are not the server's, empty if they are.

    Args:
        completions: Answers that succeeded.
        lag_s: How late the client's event loop was, 99th percentile.

    """
    held = [one for one in completions if _is_held(one) and not _is_late(one, lag_s)]
    if not _many(held, completions):
        return ""
    worst = max(held, key=lambda one: one.chunks / reads(one))
    return (
        f"several tokens came in one read although {_events_hold(held)}: {worst.chunks} events of an answer came in "
        f"{_times(reads(worst))}; a gateway or proxy between server and client holds the stream back, so that TTFT and TPOT "
        "are not the server's; measure at the server's own port, or turn the gateway's buffering off"
    )


def remarks(completions: Sequence[Completion], lag_s: float) -> tuple[str, ...]:
    """Return what a reader of these answers' figures must know, one sentence each."""
    good = [one for one in completions if one.error is None]
    return tuple(filter(None, (_bunched(good, lag_s), _doubtful_usage(good), _odd_streams(good))))


def reads(completion: Completion) -> int:
    """Return in how many reads the tokens came: events of one read share its clock."""
    return min(completion.chunks, 1) + sum(gap > 0 for gap in completion.gaps_s)


def _bunched(good: Sequence[Completion], lag_s: float) -> str:
    """Return a remark if answers begin with a few events together, which a short hold and a long step both do."""
    begun = [
        one
        for one in good
        if one.chunks >= _FEWEST
        and _first_read(one) > 1
        and _wait_s(one) > _SHORTEST_WAIT_S
        and not _is_late(one, lag_s)
    ]
    # Two tokens in the first read of some answers are chance: the server or the client had to wait for a processor.
    if len(begun) <= len(good) / 2 or held_back(good, lag_s):
        return ""
    most = max(map(_first_read, begun))
    return (
        f"The first read brought several tokens ({most} at most) although {_events_hold(begun)}: unless the server drafts "
        "and sends the tokens of a step one by one, something holds the stream back, and TTFT is not the server's."
    )


def _doubtful_usage(good: Sequence[Completion]) -> str:
    doubtful = [one for one in good if one.usage_doubt]
    if not doubtful:
        return ""
    counted = sorted({one.token_source for one in doubtful})
    left = "that count is left out" if counted == ["usage"] else f"output tokens are counted by {' or '.join(counted)}"
    return f"The server's usage cannot be right in {len(doubtful)} of {len(good)} answers ({doubtful[0].usage_doubt}): {left}."


def _odd_streams(good: Sequence[Completion]) -> str:
    odd = [one.stream_doubt for one in good if one.stream_doubt]
    if not odd:
        return ""
    return (
        f"The streams of {len(odd)} of {len(good)} answers are odd, so that their times and counts may be ({odd[0]})."
    )


def _is_held(completion: Completion) -> bool:
    if completion.chunks < _FEWEST or _wait_s(completion) <= _SHORTEST_WAIT_S:
        return False
    number = reads(completion)
    return number == 1 or max(completion.chunks / number, _first_read(completion)) > _LARGEST_STEP


def _is_late(completion: Completion, lag_s: float) -> bool:
    return _LATE * lag_s >= _wait_s(completion)


def _wait_s(completion: Completion) -> float:
    """Return the mean time between the reads that brought tokens; of a single read the time until it."""
    if completion.first_token_s is None or completion.last_token_s is None:
        return 0.0
    number = reads(completion)
    if number == 1:
        return completion.first_token_s - completion.sent_s
    return (completion.last_token_s - completion.first_token_s) / (number - 1)


def _first_read(completion: Completion) -> int:
    """Return the events with tokens in the first read that brought any."""
    return next((at for at, gap in enumerate(completion.gaps_s, start=1) if gap > 0), completion.chunks)


def _many(some: Sequence[Completion], of: Sequence[Completion]) -> bool:
    return bool(some) and len(some) >= _DOUBTFUL_SHARE * len(of)


def _events_hold(completions: Sequence[Completion]) -> str:
    share = sum(one.tokens for one in completions) / max(sum(one.chunks for one in completions), 1)
    return f"each event holds {'one' if share < 1.5 else f'{share:.1f}'}"  # noqa: PLR2004 -- rounded


def _times(number: int) -> str:
    return f"{number} read{'' if number == 1 else 's'}"
