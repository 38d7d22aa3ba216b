"""docs/memory.md says what the code computes."""

import re
from pathlib import Path

import pytest

from seatrial.catalog import find_checkpoint
from seatrial.memory import compute_footprint

PAGE = (Path(__file__).parents[2] / "docs" / "memory.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (DeepSeek-V4(?:\.1)?-[\w-]+) \| ([\d,]+) \|", PAGE, re.MULTILINE)
OWNERS = {
    "DeepSeek-V4-Flash-FP8": "sgl-project",
    "DeepSeek-V4-Flash-NVFP4": "nvidia",
    "DeepSeek-V4-Flash-0731-NVFP4": "nvidia",
}


@pytest.mark.parametrize(("name", "shown"), ROWS)
def test_the_page_s_bytes_are_those_computed(name, shown):
    """Every row of the table is what the command line prints."""
    checkpoint = find_checkpoint(f"{OWNERS.get(name, 'deepseek-ai')}/{name}")
    assert shown == f"{compute_footprint(checkpoint).weights_bytes:,}"


def test_the_page_has_its_ten_rows():
    """A table that is not found would test nothing."""
    assert 10 == len(ROWS)
