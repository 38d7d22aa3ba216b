"""The client's own lateness is an error bar; a level is not valid only if its figures are not the server's."""

import pytest
from tests.measure.test_summary import completion, summary

from seatrial.measure import Workload
from seatrial.measure.types import Sample

GOOD = [completion()] * 20  # TTFT 500 ms, TPOT 100 ms, three tokens after the first


def check(completions=GOOD, **changes):
    """Return the check of a level."""
    return summary(completions, **changes).self_check


def test_error_bars():
    """A clock may be late by the lag; TPOT spreads it over the tokens after the first."""
    seen = check(loop_lag_p99_s=0.05, loop_lag_p90_s=0.003)
    assert (0.003, pytest.approx(0.001)) == (seen.ttft_error_s, seen.tpot_error_s)
    assert (True, "", ()) == (seen.valid, seen.why, seen.warnings)


def test_error_bars_without_the_90th_percentile():
    """Only the 99th percentile is known: it counts."""
    assert 0.05 == check(loop_lag_p99_s=0.05).ttft_error_s


def test_tokens_that_come_together_wait_for_one_another():
    """A client that works a fifth of the time may read the last token of a step a fifth of a TPOT late."""
    assert pytest.approx(0.02) == check(cpu_share=0.2).ttft_error_s


def test_an_answer_in_one_read_has_no_tpot_to_be_wrong():
    """Without a second read there is no TPOT, and none of its error."""
    seen = check([completion(gaps=())] * 20, loop_lag_p99_s=0.01)
    assert (0.01, None) == (seen.ttft_error_s, seen.tpot_error_s)


def test_open_loop_counts_late_departures():
    """Under open load TTFT counts from the schedule, so that a late departure is part of its error."""
    late = [completion(sent=1.0, first=1.5, scheduled_s=0.9)] * 20
    closed, opened = check(late), check(late, workload=Workload(rate=2.0), streams=None)
    assert pytest.approx(0.1) == opened.ttft_error_s - closed.ttft_error_s


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        (
            {"loop_lag_p99_s": 0.06},
            "The client itself was late, which changes TTFT by up to 60 ms and TPOT by up to 20 ms.",
        ),
        ({"cpu_share": 0.81}, "The client itself was late"),
    ],
)
def test_a_late_client_is_a_warning(changes, warning):
    """An error of more than a tenth of a figure is said; the level is valid unless the client was saturated."""
    seen = check(**changes)
    assert seen.warnings[0].startswith(warning)
    assert ("cpu_share" not in changes) == seen.valid


def test_a_saturated_client_is_not_valid_if_it_shows():
    """More than 80 % of a core, and an error of more than a tenth: not valid. Without such an error a warning."""
    shows = check(cpu_share=0.81)
    assert "the client used 81% of a core, more than 80%, and its own lateness shows" == shows.why[:-1].lower()
    hidden = check([completion(first=5.0, gaps=(0.1,) * 20)] * 20, cpu_share=0.81)
    assert (True, "") == (hidden.valid, hidden.why)
    assert ("The client used 81% of a core: more streams would be too many for it.",) == hidden.warnings


@pytest.mark.parametrize(
    ("completions", "lag_s", "which"),
    [
        (GOOD, 0.6, "the TTFT of 500 ms may be wrong by 600 ms and TPOT of 100 ms may be wrong by 200 ms"),
        ([completion(gaps=(0.01, 0.01))] * 20, 0.1, "the TPOT of 10 ms may be wrong by 50 ms"),
        ([completion(first=0.01, gaps=())] * 20, 0.1, "the TTFT of 10 ms may be wrong by 100 ms"),
    ],
)
def test_an_error_above_the_figure(completions, lag_s, which):
    """An error bar larger than the figure itself is not valid, and which figure is said."""
    seen = check(completions, loop_lag_p99_s=lag_s)
    assert (False, f"The client was too late: {which}, more than the figure itself.") == (seen.valid, seen.why)


def test_late_sends_are_a_warning():
    """Requests that leave later than 5 % of the median TTFT load the server less than asked for; its figures stand."""
    late = [completion(sent=1.0, first=1.5, scheduled_s=0.9)] * 20
    assert ("Requests left up to 100 ms late (p99): the load was a little less than asked for.",) == check(
        late
    ).warnings
    assert check(late).valid


def test_waiting_as_the_server_asked_is_not_late():
    """A request that came back later because the server asked for it did not leave late."""
    assert () == check([completion(sent=1.0, first=1.5, scheduled_s=0.0, retries=1)] * 20).warnings


@pytest.mark.parametrize(("number", "warnings"), [(1, 1), (9, 1), (10, 0)])
def test_too_few_requests_for_a_percentile(number, warnings):
    """Under ten requests the 90th percentile is the slowest one."""
    assert warnings == len(check([completion()] * number).warnings)


def test_prefix_cache_hits():
    """More than a quarter of unique prompts in the cache is said; a template's opening of a few tokens is not."""
    few, many = (check([completion(prompt_tokens=128, cached_tokens=cached)] * 20).warnings for cached in (30, 100))
    assert ((), True) == (few, many[0].startswith("The server's prefix cache had about 80% of the prompts' tokens"))
    assert () == check([completion(prompt_tokens=128, cached_tokens=100), *GOOD]).warnings
    hits = [completion(prompt_tokens=128, cached_tokens=100)] * 20
    assert () == check(hits, workload=Workload(concurrency=(2,), prefix="shared")).warnings


def samples(*counts, point=0, begin=0, **readings):
    """Return samples with the tokens that a server has generated since its start."""
    return [Sample(begin + at, point, generated_tokens=count, **readings) for at, count in enumerate(counts)]


def test_a_server_that_began_anew():
    """A count that goes back within the level makes it not valid; between two levels it is a warning."""
    within = check(samples=samples(100, 200, 0, 50))
    assert (False, "The server began anew during the level: what it counts went back.") == (within.valid, within.why)
    between = check(samples=[*samples(900, point=-1), *samples(0, 50)])
    assert (True, ("The server began anew before this level: its caches were cold.",)) == (
        between.valid,
        between.warnings,
    )
    assert () == check(samples=[*samples(100, point=-1), *samples(None, 100, 150)]).warnings


def test_a_throttled_gpu():
    """A clock that is held down is said with its reason and how often; one that is not is nothing to say."""
    seen = samples(1, 2, gpu_throttle=("", "power cap")) + samples(3, gpu_throttle=("", ""))
    assert ("GPU 1 was throttled (power cap) in 2 of 3 readings: it is slower than it can be.",) == check(
        samples=seen
    ).warnings
    assert () == check(samples=samples(1, gpu_throttle=(None, ""))).warnings


def test_another_process_on_a_gpu():
    """A process that is not the engine's is said with its GPU; none, or one that the driver hides, is nothing to say."""
    seen = samples(1, 2, gpu_other_processes=(0, 2)) + samples(3, gpu_other_processes=(0, None))
    assert ("Another process on GPU 1: 2 beside the engine's, which share its time and memory.",) == check(
        samples=seen
    ).warnings
    assert () == check(samples=samples(1, gpu_other_processes=(None, 0))).warnings


def test_requests_that_did_not_leave():
    """A limit of this machine kept requests from leaving: not valid, however good the others look."""
    seen = check([*GOOD, completion(error="client_limit: no more files (ulimit -n)")])
    assert (False, "1 of 21 requests did not leave: no more files (ulimit -n).") == (seen.valid, seen.why)


def test_nothing_to_check():
    """A level without one request has no error bars, and nothing is wrong with its times."""
    seen = check([])
    assert (True, 0.0, None) == (seen.valid, seen.ttft_error_s, seen.tpot_error_s)
