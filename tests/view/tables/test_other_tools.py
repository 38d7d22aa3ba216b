"""Other tools' answers about the same weights: ours is exact, their errors are computed."""

import re
from pathlib import Path

from seatrial.units import GB
from seatrial.view.tables.other_tools import other_tools, our_bytes, table_other_tools

PAGE = (Path(__file__).parents[3] / "docs" / "memory.md").read_text(encoding="utf-8")
TRUTH = 159_609_485_896


def test_ours_is_exact_to_the_byte():
    """From config.json alone."""
    assert (TRUTH, TRUTH) == (our_bytes(), other_tools().bytes)
    assert "exact" == table_other_tools().rows[0][2]


def test_no_other_answer_is():
    """Eleven tools; the nearest is half a percent off, the farthest a factor of 37."""
    asked = other_tools()
    ratios = [ratio for row in asked.rows for ratio in asked.ratios(row)]
    assert 11 == len(asked.rows)
    assert not [ratio for ratio in ratios if ratio == 1]
    assert [answer * GB / TRUTH for row in asked.rows for answer in row.answers_gb] == ratios
    assert ("37.1 times too little", "3.5 times too much") == tuple(
        next(row[2] for row in table_other_tools().rows if row[0].startswith(name))
        for name in ("notebook-llm-cli", "aiconfigurator")
    )


def test_the_page_shows_the_same_table():
    """docs/memory.md holds every row as it is computed."""
    shown = re.search(r"^## What other tools answer\n.*?(?=^## )", PAGE, re.MULTILINE | re.DOTALL).group()
    rows = [
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in shown.splitlines()
        if line.startswith("| ")
    ]
    assert list(table_other_tools().rows) == rows[1:]
    assert other_tools().checked in shown
