"""The one line of a fetch: bytes, rate, time left, files; in any width."""

import pytest

from seatrial.fetch.line import ProgressLine
from seatrial.fetch.progress import FetchEvent

GIB = 1 << 30


def line_after(*steps, width=120, stage="download", files=(3, 46)):
    """Return the line after steps of (seconds, bytes that came)."""
    line = ProgressLine()
    for second, came in steps:
        line.update(
            FetchEvent(stage, "model-00004.safetensors", 50 * GIB + came, 150 * GIB, *files, came), float(second)
        )
    return line.text(width)


def test_bytes_rate_time_left_and_files():
    """10 GiB in 10 s, and 90 GiB to go; what an earlier fetch left counts for no rate."""
    expected = "60.0 GiB of 150.0 GiB  1.0 GiB/s  1:30 left  3 of 46 files  model-00004.safetensors"
    assert expected == line_after((0, 0), (5, 5 * GIB), (10, 10 * GIB))


def test_the_rate_is_that_of_the_last_seconds():
    """A quick start an hour ago says nothing about the time left."""
    assert "100.0 MiB/s" in line_after((0, 0), (1, 40 * GIB), (3600, 40 * GIB), (3610, 40 * GIB + 1000 * (1 << 20)))


def test_without_a_rate_nothing_is_promised():
    """The first step, a stall, a check: no rate and no time."""
    for line in (line_after((0, 0)), line_after((0, 5), (9, 5)), line_after((0, 0), (5, GIB), stage="check")):
        assert "/s" not in line
        assert "left" not in line


def test_hours_and_days_are_written_as_such():
    """A slow line."""
    assert "2:50:30 left" in line_after((0, 0), (10, 100 * (1 << 20)))
    assert "days left" in line_after((0, 0), (10, 1 << 20))


@pytest.mark.parametrize("width", range(200))
def test_it_fits_into_every_terminal(width):
    """One line, however narrow; the bytes go last."""
    line = line_after((0, 0), (10, 10 * GIB), width=width)
    assert len(line) <= max(width, 1)
    assert line.startswith("60.0 GiB"[: max(width, 1)])
    assert "\n" not in line


def test_one_file_is_not_counted():
    """A GGUF in one file."""
    assert "files" not in line_after((0, 0), (10, GIB), files=(0, 1))


def test_an_unknown_size_promises_no_time():
    """A mirror without sizes."""
    line = ProgressLine()
    for second in (0.0, 5.0):
        line.update(FetchEvent("download", "x", int(second) * GIB, 0, 0, 1, int(second) * GIB), second)
    assert "5.0 GiB  1.0 GiB/s  x" == line.text(80)
