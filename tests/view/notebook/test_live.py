"""Without a kernel nobody sees widgets."""

import pytest

from seatrial.view.notebook.live import HEADLESS, is_headless


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("yes", True), (None, True), ("0", True)])
def test_outside_a_kernel_there_are_no_widgets(monkeypatch, value, expected):
    """A test or a script sees none, whatever the variable says."""
    if value is None:
        monkeypatch.delenv(HEADLESS, raising=False)
    else:
        monkeypatch.setenv(HEADLESS, value)
    assert expected == is_headless()
