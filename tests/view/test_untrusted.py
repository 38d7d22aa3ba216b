"""Text from outside is shown as text and as nothing else."""

import pytest

from seatrial.view.tables.table import Table
from seatrial.view.untrusted import PlainText, plain_text


@pytest.mark.parametrize(
    ("received", "shown"),
    [
        ("plain, größe, 数字, 🚢", "plain, größe, 数字, 🚢"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]8;;http://evil/\x07click\x1b]8;;\x07", "click"),
        ("\x1b]0;title\x1b\\after", "after"),
        ("\x9b2Jcleared", "cleared"),
        ("a\x1b", "a"),
        ("bell\x07 back\x08 null\x00", "bell back null"),
        ("\u202egnp.exe\u202c \u2066x\u2069", "gnp.exe x"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("tag\U000e0041s", "tags"),
        ("lone \ud800 surrogate", "lone  surrogate"),
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
    ],
)
def test_what_nobody_can_see_is_taken_out(received, shown):
    """Escape codes, controls, direction marks and zero-width characters go; letters of all scripts stay."""
    assert shown == plain_text(received)


def test_a_long_line_is_cut_and_says_so():
    """Ten million characters end after the limit."""
    shown = plain_text("x" * 10_000_000, 100)
    assert shown.startswith("x" * 100 + " ... (")
    assert "9,999,900 more characters" in shown


def test_what_is_cut_cannot_hide_in_escape_codes():
    """A text of nothing but escape codes becomes empty, not long."""
    assert plain_text("\x1b[31m" * 50) == ""


def test_a_cell_shows_markup_as_text():
    """HTML is escaped, and the plain form has no escape codes."""
    shown = PlainText('<img src=x onerror="alert(1)">\x1b[2J', title="<b>log</b>")
    assert "<img" not in shown.to_html()
    assert "<b>" not in shown.to_html()
    assert "&lt;img src=x" in shown.to_html()
    assert '<b>log</b>\n<img src=x onerror="alert(1)">' == shown.to_text()


def test_tables_are_clean_however_they_are_shown():
    """What nobody can see is gone from title, heading, cell and note."""
    table = Table("a\x1b[1m", ("b\u202e>",), (("c\u200b",),), "d\x07")
    assert ("a", ("b>",), (("c",),), "d") == (table.title, table.columns, table.rows, table.note)
