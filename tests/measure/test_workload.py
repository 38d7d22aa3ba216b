"""A load is read as people write it, and its levels follow from it."""

import pytest

from seatrial.errors import UsageError
from seatrial.measure import Workload
from seatrial.measure.workload import Level, describe_lengths, label_of, levels_of
from seatrial.records import from_dict, to_dict


def labels(**values):
    """Return the levels of a load in words."""
    workload = Workload(**values)
    return [label_of(level, workload) for level in levels_of(workload)]


def test_values_as_a_notebook_gives_them():
    """A notebook runner turns digits into numbers and leaves the rest as text; both are read, and zero requests are enough."""
    given = Workload(
        concurrency=4, requests="0", prompt_tokens="1000,2000", answer_tokens="16", rate="None", ignore_eos="true",
        slo_ttft_s="0.5", prefix="Both", repeat=3.0,
    )  # fmt: skip
    assert (
        Workload(
            concurrency=(4,), requests=None, prompt_tokens=(1000, 2000), answer_tokens=16, rate=None, ignore_eos=True,
            slo_ttft_s=0.5, prefix="both", repeat=3,
        )
        == given
    )  # fmt: skip


def test_one_value_stays_one():
    """A list of one is that one, so that records of one rate and one length look as before."""
    assert Workload(rate=2.0, prompt_tokens=128) == Workload(rate=[2], prompt_tokens=(128,))
    assert (1.0, 2.0, 4.5) == Workload(rate="1, 2,4.5").rate
    assert (2.0, 128) == (to_dict(Workload(rate="2"))["rate"], to_dict(Workload())["prompt_tokens"])


@pytest.mark.parametrize("values", [{}, {"rate": (1, 2)}, {"prompt_tokens": "1,2", "prefix": "both", "repeat": 2}])
def test_a_record_reads_back(values):
    """What is written is what is read."""
    workload = Workload(**values)
    assert workload == from_dict(Workload, to_dict(workload))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"concurrency": "one"}, "concurrency takes a whole number, not 'one'"),
        ({"concurrency": "1,,2"}, "concurrency takes a whole number, not ''"),
        ({"concurrency": None}, "concurrency takes a whole number, not None"),
        ({"concurrency": 1.5}, "concurrency takes a whole number"),
        ({"rate": "fast"}, "rate takes a number, not 'fast'"),
        ({"rate": float("nan")}, "rate takes a number, not nan"),
        ({"rate": "1,inf"}, "rate takes a number"),
        ({"requests": "many"}, "requests takes a whole number"),
        ({"requests": 10**30}, "requests takes a whole number, not a number of many digits"),
        ({"prompt_tokens": [128, True]}, "prompt_tokens takes a whole number"),
        ({"prompt_tokens": {}}, "prompt_tokens takes a whole number"),
        ({"ignore_eos": "perhaps"}, "ignore_eos takes true or false"),
        ({"slo_ttft_s": float("inf")}, "slo_ttft_s takes a number"),
        ({"arrivals": "sometimes"}, "arrivals is 'sometimes'"),
        ({"prefix": 3}, "prefix is 3"),
        ({"repeat": "thrice"}, "repeat takes a whole number"),
    ],
)
def test_bad_values(values, message):
    """A value that is none of its kind is refused when the load is described, long before a server is launched."""
    with pytest.raises(UsageError, match=message):
        Workload(**values)


def test_levels_are_all_combinations():
    """Each length, each load, and both kinds of prefix; side by side is what is compared."""
    workload = Workload(concurrency=(1, 8), prompt_tokens=(1000, 32000), prefix="both")
    assert [
        Level(streams, None, length, shared)
        for length in (1000, 32000)
        for streams in (1, 8)
        for shared in (False, True)
    ] == list(levels_of(workload))
    assert [Level(None, 1.0, 128), Level(None, 4.0, 128)] == list(levels_of(Workload(rate="1,4")))


def test_labels_tell_levels_apart():
    """A label has the load, and of the rest what differs between levels."""
    assert ["1 stream", "8 streams"] == labels(concurrency="1,8")
    assert ["2.5 requests/s"] == labels(rate=2.5)
    assert ["2 requests/s at constant gaps"] == labels(rate=2, arrivals="constant")
    assert ["ramp to 1 requests/s", "ramp to 2 requests/s"] == labels(rate="1,2", arrivals="ramp")
    assert ["1 stream, prompts of 1,000 tokens", "1 stream, prompts of 32,000 tokens"] == labels(
        concurrency=1, prompt_tokens="1000,32000"
    )
    assert ["4 streams, unique prompts", "4 streams, shared prefix"] == labels(concurrency=4, prefix="both")
    assert ["4 streams"] == labels(concurrency=4, prefix="shared")


def test_lengths_in_words():
    """One length or several, as a sentence has them."""
    assert ("128", "1,000, 8,000 and 32,000") == (
        describe_lengths(Workload()), describe_lengths(Workload(prompt_tokens=(1000, 8000, 32000)))
    )  # fmt: skip
