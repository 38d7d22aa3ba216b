"""What is asked of the planner: bounds are named, and what to do beyond them."""

import pytest

from seatrial.errors import UsageError
from seatrial.hardware.named import named_machine
from seatrial.plan.request import Request


@pytest.mark.parametrize(
    ("wish", "limit", "advice"),
    [
        ({"concurrency": 100_000}, "more than the 65,536", "divide the load among several"),
        ({"nodes": 2000}, "more than the 1,024", "equal groups"),
        ({"context_tokens": 1 << 25}, "more than the 16,777,216", "No model of the catalog"),
        ({"prompt_tokens": 1 << 25}, "more than the 16,777,216", "No model of the catalog"),
        ({"answer_tokens": 1 << 25}, "more than the 16,777,216", "No model of the catalog"),
        ({"tensor_parallel": 5000}, "more than the 4,096", "GPUs"),
        ({"concurrency": 0}, "asks for nothing", "1 to 65,536"),
        ({"nodes": -1}, "asks for nothing", "1 to 1,024"),
    ],
)
def test_a_number_beyond_the_bounds_names_them_and_says_what_next(wish, limit, advice):
    """Never a bare no."""
    with pytest.raises(UsageError, match=limit) as caught:
        Request(named_machine("h200x8"), **wish).check()
    assert advice in caught.value.remedy
