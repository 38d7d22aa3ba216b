"""Logs: the last lines, as they grow, and never a character a terminal would obey."""

import threading

import pytest
from tests.server.conftest import until

from seatrial.printable import printable
from seatrial.server.log import follow, size, tail


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain text, ünïcode 模型 🚢", "plain text, ünïcode 模型 🚢"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]8;;http://evil\x07link", "\\x1b]8;;http://evil\\x07link"),
        ("\x9b2J", "\\x9b2J"),
        ("right\u202eto left", "right\\u202eto left"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("nul\x00", "nul\\x00"),
        ("tab\tand\nnewline", "tab\tand\nnewline"),
    ],
)
def test_control_characters_are_shown_as_escapes(raw, shown):
    """Colours, links, directions and invisible characters are visible; text is left alone."""
    assert shown == printable(raw)


def test_the_tail_reaches_into_the_part_moved_aside(tmp_path):
    """The last lines count over the current log and its earlier part."""
    log = tmp_path / "engine.log"
    log.with_name("engine.log.1").write_text("one\ntwo\n")
    log.write_text("three\nfour\n")
    assert ["four"] == tail(log, 1)
    assert ["two", "three", "four"] == tail(log, 3)
    assert ["one", "two", "three", "four"] == tail(log, 99)


def test_parts_that_do_not_belong_together_are_not_joined(tmp_path):
    """Of a long log the end is read: the earlier part ends elsewhere, and no line is made of both."""
    log = tmp_path / "engine.log"
    log.with_name("engine.log.1").write_text("one\nfreed 3 GiB of")
    log.write_text(f"{'x' * (2 << 20)}\nlast\n")
    lines = tail(log, 9)
    assert ["last"] == lines[1:]
    assert lines[0].startswith("xxx")


def test_a_character_that_is_written_in_two_parts_is_one(tmp_path):
    """As a full pipe or a read in between cuts it; half a character at the end is shown as such."""
    log, over, seen = tmp_path / "engine.log", threading.Event(), []
    half, rest = "模型".encode()[:4], "模型".encode()[4:]
    log.write_bytes(b"begin\n")
    lines = follow(log, ended=over.is_set, poll_s=0.001)

    def read():
        seen.extend(lines)

    reader = threading.Thread(target=read)
    with log.open("ab", buffering=0) as file:
        file.write(b"first\n" + half)
        reader.start()
        until(lambda: seen, "the first line")
        file.write(rest + b"\n" + half)
    over.set()
    reader.join()
    assert ["first", "模型", "模\ufffd"] == seen


def test_no_log_is_no_lines(tmp_path):
    """A server that never wrote anything has an empty log."""
    assert [] == tail(tmp_path / "engine.log", 5)
    assert 0 == size(tmp_path / "engine.log")


def test_a_line_of_ten_megabytes_is_cut(tmp_path):
    """Nobody reads it; its length is said."""
    log = tmp_path / "engine.log"
    log.write_bytes(b"x" * 10_000_000 + b"\nlast\n")
    lines = tail(log, 2)
    assert "last" == lines[1]
    assert len(lines[0]) < 2100


def test_progress_bars_are_lines(tmp_path):
    """What a carriage return overwrites in a terminal is a line of its own here."""
    log = tmp_path / "engine.log"
    log.write_bytes(b"10%\r50%\r100%\r\ndone\n")
    assert ["10%", "50%", "100%", "done"] == tail(log, 9)


def test_bytes_that_are_no_text_do_not_stop_it(tmp_path):
    """Broken UTF-8 is replaced."""
    log = tmp_path / "engine.log"
    log.write_bytes(b"\xff\xfe broken\n")
    assert ["\ufffd\ufffd broken"] == tail(log, 1)


def test_following_goes_on_after_the_log_was_cut(tmp_path):
    """New lines come as they are written, also after the log shrank; the end is noticed."""
    log = tmp_path / "engine.log"
    log.write_text("old\n")
    over = threading.Event()
    lines = follow(log, ended=over.is_set, lines=9, poll_s=0.01)
    seen = []
    reader = threading.Thread(target=lambda: seen.extend(lines))
    reader.start()
    with log.open("a") as file:
        file.write("first\nsec")
    until(lambda: len(seen) == 2, "the first line")
    log.write_text("new\n")
    until(lambda: len(seen) == 3, "the second line")
    over.set()
    reader.join()
    assert ["old", "first", "secnew"] == seen
