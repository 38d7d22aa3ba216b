"""The key goes to the server only, and is never shown."""

import pytest

from seatrial.errors import UsageError
from seatrial.measure.target import find_target


@pytest.mark.parametrize("key", ["", "  ", "two\nlines", "ключ", "x" * 5000])
def test_refused_keys(key):
    """A key that no header may carry is refused, and not repeated."""
    with pytest.raises(UsageError) as caught:
        find_target("http://127.0.0.1:8000", api_key=key)
    assert not key.strip() or key not in str(caught.value)


def test_key_is_never_shown():
    """The key does not stand in what a debugger or a traceback prints."""
    assert "sesame" not in repr(find_target("http://127.0.0.1:8000", api_key="sesame"))
