"""Series in columns: small, exact to a microsecond, and no way to fill memory with a short file."""

import json
import math
from dataclasses import replace

import pytest

from seatrial.errors import UsageError
from seatrial.measure import Completion, Sample
from seatrial.measure.columns import from_columns, to_columns
from seatrial.measure.record import COMPLETIONS, SAMPLES

SAMPLE = Sample(at_s=1.25, point=0, tokens_per_s=123.456789, active_streams=4, memory_bytes=3 << 30,
                gpu_power_w=(310.5, None), gpu_throttle=("", "power"))  # fmt: skip
COMPLETION = Completion(point=1, scheduled_s=2.0, sent_s=2.000123, first_token_s=2.051, first_answer_s=None,
                        last_token_s=2.6, chunks=7, tokens=8, token_source="usage", first_chunk_tokens=None,
                        prompt_tokens=64, cached_tokens=0, gaps_s=(0.01, 0.0123), error=None, text="Said.",
                        ended_s=2.61)  # fmt: skip


def test_samples_come_back():
    """Times to a microsecond, other readings to five digits; GPUs without any reading have no columns."""
    rows = (SAMPLE, replace(SAMPLE, at_s=1.5000004, gpu_power_w=(None, None), gpu_throttle=()), Sample(1.75, 1))
    columns = json.loads(json.dumps(to_columns(rows, SAMPLES)))
    assert [1250000, 250000, 250000] == columns["at_us"]
    assert "kv_cache_usage" not in columns
    assert [[310.5, None, None], None] == columns["gpu_power_w"]
    first = replace(SAMPLE, tokens_per_s=123.46)
    second = replace(first, at_s=1.5, gpu_power_w=(), gpu_throttle=())
    assert (first, second, Sample(1.75, 1)) == from_columns(columns, SAMPLES)


def test_completions_come_back_without_their_text():
    """Gaps to a tenth of a millisecond; what never changes is there once."""
    rows = (COMPLETION, replace(COMPLETION, scheduled_s=3.0, sent_s=3.1, first_token_s=None, last_token_s=None,
                                gaps_s=(), error="timeout: 60 s", ended_s=63.1))  # fmt: skip
    columns = json.loads(json.dumps(to_columns(rows, COMPLETIONS)))
    assert "usage" == columns["token_source"]
    assert "text" not in columns
    kept = tuple(replace(row, text="") for row in rows)
    assert kept == from_columns(columns, COMPLETIONS)


def test_gaps_can_be_left_out():
    """Then no request has any."""
    columns = to_columns([COMPLETION], COMPLETIONS, gaps=False)
    assert (replace(COMPLETION, text="", gaps_s=()),) == from_columns(columns, COMPLETIONS)


@pytest.mark.parametrize("rows", [[], [SAMPLE], [SAMPLE] * 3])
def test_any_number_of_rows(rows):
    """Also none, one, and several that are all the same."""
    kept = tuple(replace(row, tokens_per_s=123.46) for row in rows)
    assert kept == from_columns(to_columns(rows, SAMPLES), SAMPLES)


def test_a_time_that_is_none_is_left_out():
    """Not a number and infinity are no times; the others stay."""
    (row,) = from_columns(to_columns([replace(COMPLETION, last_token_s=math.inf)], COMPLETIONS), COMPLETIONS)
    assert (None, 2.051) == (row.last_token_s, row.first_token_s)


@pytest.mark.parametrize(
    "damage",
    [
        7,
        [],
        {"point": 0},
        {"at_us": 7},
        {"at_us": [1.5], "point": 0},
        {"at_us": ["1"], "point": 0},
        {"at_us": [10**30], "point": 0},
        {"at_us": [1, 2], "point": [0]},
        {"at_us": [1, 2], "point": [0, 1, 2]},
        {"at_us": [1]},
        {"at_us": [1], "point": None},
        {"at_us": [1], "point": "0"},
        {"at_us": [1], "point": 0, "tokens_per_s": "fast"},
        {"at_us": [1], "point": 0, "gpu_power_w": 300},
        {"at_us": [1, 2], "point": 0, "gpu_power_w": [[300]]},
        {"at_us": [0] * 1_000_001, "point": 0},
        {"at_us": [0] * 1_000, "point": 0, "gpu_power_w": [1] * 60_000},
    ],
)
def test_damaged_columns_are_one_error(damage):
    """Wrong types and lengths, times that are none, and more cells than any record has."""
    with pytest.raises(UsageError, match="The columns of Sample"):
        from_columns(damage, SAMPLES)
