"""A table in the terminal: a grid where it is wide enough, lines where it is not."""

import io

import pytest
from rich.console import Console

from seatrial.view.tables.table import Table

SPEED = Table(
    "Predicted",
    ("prediction", "low>", "expected>", "high>"),
    (("time per output token (TPOT)", "4.99 ms", "7.88 ms", "12.4 ms"),),
)


def drawn(table, width):
    """Return the lines that a terminal of that width shows."""
    console = Console(file=io.StringIO(), width=width)
    console.print(table.to_rich())
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [20, 40, 50, 80])
def test_no_line_is_wider_than_the_terminal(width):
    """Nothing spills over, however narrow it is."""
    assert max(map(len, drawn(SPEED, width))) <= width


def test_a_narrow_terminal_gets_each_row_as_lines_with_its_headings():
    """At 40 columns the names stay whole words and every value says what it is."""
    lines = drawn(SPEED, 40)
    assert "time per output token (TPOT)" in lines
    assert "low 4.99 ms, expected 7.88 ms, high 12.4 ms" == " ".join(" ".join(lines[2:]).split())


def test_a_usual_terminal_gets_the_grid():
    """At 80 columns the headings stand once, above their columns."""
    lines = drawn(SPEED, 80)
    assert any(line.split() == ["prediction", "low", "expected", "high"] for line in lines)


def test_a_long_remark_leaves_the_other_columns_room():
    """What stands under a short first cell is folded; it never squeezes the other columns."""
    table = Table("t", ("checkpoint", "size>"), (("tiny", "0.003 GB"),), details=("a remark " * 12,))
    lines = drawn(table, 80)
    assert any(line.split() == ["tiny", "0.003", "GB"] for line in lines)


def test_lines_leave_out_what_is_not_known():
    """In a terminal too narrow for a grid a heading without a value is not shown."""
    table = Table("t", ("checkpoint", "verdict", "context up to>"), (("one", "refused", ""),))
    assert ["t", "one", "  verdict refused"] == drawn(table, 20)


WHY = Table(
    "Why",
    ("reason", "origin"),
    (("It is so because of what is measured and derived " * 4, "verified"),),
    details=("source: a page of the vendor, and an address as long as this one is " * 3,),
)


def test_what_stands_under_a_cell_is_indented_on_every_line():
    """A source that is folded is told from the next reason."""
    lines = drawn(WHY, 80)
    start = next(place for place, line in enumerate(lines) if "source:" in line)
    assert [] == [line for line in lines[start:] if line and not line.startswith("   ")]


def test_prose_is_never_squeezed_beside_a_column():
    """At 40 columns sentences get the whole width, and what stood beside them goes below."""
    lines = drawn(WHY, 40)
    assert "  origin verified" in lines
    assert not any(line.split() == ["reason", "origin"] for line in lines)


def test_prose_is_folded_however_wide_the_terminal_is():
    """Lines of 200 columns lose the reader."""
    assert max(map(len, drawn(WHY, 240))) <= 115


def test_hub_ids_stay_in_one_piece_where_a_grid_would_cut_them():
    """Six columns at 80: each alternative becomes two lines, not three slices of its name."""
    name = "deepseek-ai/DeepSeek-V4-Flash-DSpark"
    heads = ("checkpoint", "engine", "verdict", "memory>", "output>", "TPOT>")
    table = Table("t", heads, ((name, "sglang TP4 DP4 EP4", "verified", "229.3 GiB", "322 tok/s", "2.68 ms"),))
    assert name in drawn(table, 80)


def test_a_note_of_several_lines_keeps_them_in_html():
    """A command under a table is read line by line in a notebook too, and stays text."""
    html = Table("t", ("what",), (("x",),), note="serve \\\n  --model=<b>").to_html()
    assert "<small>serve \\<br>  --model=&lt;b&gt;</small>" in html
