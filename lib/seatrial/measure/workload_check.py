"""Checks a load before anything is sent."""

from __future__ import annotations

from importlib.resources import files

from seatrial.errors import UsageError
from seatrial.json_text import parse_json
from seatrial.measure.repeats import MAX_REPEATS
from seatrial.measure.workload import MAX_LEVELS, MAX_REQUESTS, MAX_STREAMS, MAX_TOKENS, Workload, levels_of

_MAX_FIGURE = 1_000_000


def check_workload(workload: Workload, engine: str | None) -> None:
    """Refuse a load that cannot be sent or would measure nothing.

    Raises:
        UsageError: If a figure is out of bounds or two contradict each other; the message names them.

    """
    levels = levels_of(workload)
    if not levels:
        name = next(name for name in ("rate", "prompt_tokens", "concurrency") if getattr(workload, name) == ())
        raise UsageError(f"{name} has no load level.", remedy="Name one at least, such as 1.")
    if len(levels) > MAX_LEVELS:
        raise UsageError(
            f"The load has {len(levels)} levels, more than {MAX_LEVELS}: each combination of streams or rate, prompt length "
            "and prefix is one.",
            remedy="Measure fewer at once.",
        )
    _check_counts(workload)
    _check_figures(workload)
    _check_requests(workload)
    if workload.ignore_eos and engine not in engines_with_ignore_eos():
        raise UsageError(
            f"ignore_eos is not known to work with {engine or 'an unknown engine'}.",
            remedy="Leave it out: answers then end where the model ends them, and their tokens are counted.",
        )


def _check_counts(workload: Workload) -> None:
    levels = levels_of(workload)
    counts = [
        ("answer_tokens", workload.answer_tokens, 1, MAX_TOKENS),
        ("requests", workload.requests or 1, 1, MAX_REQUESTS),
        ("repeat", workload.repeat, 1, MAX_REPEATS),
        ("warmup_requests", workload.warmup_requests, 0, MAX_REQUESTS),
        *(("prompt_tokens", level.prompt_tokens, 1, MAX_TOKENS) for level in levels),
        *(("concurrency", level.streams, 1, MAX_STREAMS) for level in levels if level.streams is not None),
    ]
    for name, value, low, high in counts:
        if not low <= value <= high:
            raise UsageError(f"{name} is {value:,}.", remedy=f"Choose a whole number from {low} to {high:,}.")


def _check_figures(workload: Workload) -> None:
    figures = [
        *(("rate", level.rate) for level in levels_of(workload)),
        ("speed_up", workload.speed_up),
        ("slo_ttft_s", workload.slo_ttft_s),
        ("slo_tpot_s", workload.slo_tpot_s),
        ("request_timeout_s", workload.request_timeout_s),
        ("token_timeout_s", workload.token_timeout_s),
    ]
    for name, value in figures:
        if value is not None and not 0 < value <= _MAX_FIGURE:
            raise UsageError(f"{name} is {value}.", remedy=f"Choose a number above 0, at most {_MAX_FIGURE:,}.")
    if not 0 < workload.shared_share < 1:
        raise UsageError(
            f"shared_share is {workload.shared_share:g}.", remedy="Choose a number between 0 and 1, such as 0.9."
        )


def _check_requests(workload: Workload) -> None:
    most = max((level.streams or 0 for level in levels_of(workload)), default=0)
    if workload.requests is not None and workload.requests < most:
        raise UsageError(
            f"{workload.requests} requests cannot keep {most} streams busy.",
            remedy=f"Ask for at least {most} requests; {4 * most} give a steady stretch.",
        )
    if workload.replay is not None:
        _check_replay(workload)
    elif workload.speed_up != 1:
        raise UsageError("speed_up goes with a replay.", remedy="Name a recorded list of arrivals, or leave it out.")
    if workload.until_stopped and workload.check_answers:
        raise UsageError(
            "check_answers goes with levels that have an end.", remedy="Leave check_answers or until_stopped out."
        )
    if workload.until_stopped and (most == 0 or workload.repeat > 1 or len(levels_of(workload)) > 1):
        raise UsageError(
            "A load that runs until it is stopped begins with one number of streams.",
            remedy="Give one number as concurrency, and no rate; set_streams changes it while the load runs.",
        )
    if workload.find_knee and (workload.until_stopped or len(levels_of(workload)) > 1):
        raise UsageError(
            "The search for the knee raises one kind of load.",
            remedy="Give one prompt length, one prefix, and the streams or the rate to begin with.",
        )
    if workload.rate is None and workload.arrivals != "poisson":
        raise UsageError(
            f"arrivals {workload.arrivals} goes with a rate, and this is a closed loop.",
            remedy="Give a rate of requests per second, or leave arrivals out.",
        )


def _check_replay(workload: Workload) -> None:
    """Refuse what a recorded list of arrivals decides itself."""
    usual = Workload()
    others = ("rate", "prefix", "arrivals", "find_knee", "until_stopped")
    given = [name for name in others if getattr(workload, name) != getattr(usual, name)]
    given += ["prompt_tokens"] if isinstance(workload.prompt_tokens, tuple) else []
    if given:
        raise UsageError(
            f"A replay has its own arrivals and prompts, and {' and '.join(given)} would change them.",
            remedy=f"Leave {' and '.join(given)} out; speed_up changes its speed.",
        )


def engines_with_ignore_eos() -> dict[str, str]:
    """Return the engines whose answers can be made to reach a length, each with its source."""
    data = parse_json(files("seatrial.measure").joinpath("engines.json").read_bytes())
    return dict(data["ignore_eos"])
