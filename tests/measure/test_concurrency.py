"""Load levels as a notebook's parameter writes them."""

import pytest

from seatrial.errors import UsageError
from seatrial.measure.workload import read_concurrency


def test_numbers_with_commas():
    """Levels in the order given; spaces do no harm."""
    assert (1, 2, 4, 8) == read_concurrency("1,2,4, 8")
    assert (16,) == read_concurrency("16")


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "1,,2", "1;2", "two", "1.5", "1e3", "99999999999", "²", ",".join("1" * 40)]
)
def test_anything_else_is_refused(text):
    """The message repeats what was given and shows what is meant."""
    with pytest.raises(UsageError, match="1,2,4,8"):
        read_concurrency(text)
