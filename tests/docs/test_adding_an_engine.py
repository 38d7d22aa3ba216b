"""docs/adding-an-engine.md: every table and field of an engine's data file, by the types that read it."""

import re

import pytest
from tests.conftest import ROOT

from seatrial.catalog import engine_facts as facts

PAGE = (ROOT / "docs" / "adding-an-engine.md").read_text()
EVERYWHERE = {"source", "checked"}
TABLES = {
    "versions": facts.Versions,
    "planning": facts.Planning,
    "metrics": facts.Metrics,
    "programs": facts.Program,
    "requires": facts.Requirement,
    "misread_config": facts.MisreadConfig,
    "phases": facts.Phase,
    "failures": facts.Failure,
    "memory": facts.MemoryLine,
    "log": facts.LogSigns,
    "install": facts.Install,
    "drafting": facts.Drafting,
    "tensor_split": facts.TensorSplit,
    "tune": facts.Setting,
}


def part(title):
    """Return the part of the page under the heading that names a table."""
    found = re.search(rf"^### [^\n]*\b{title}\b[^\n]*\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def test_every_table_has_a_part():
    """Also the ones a later change adds."""
    known = facts.EngineFacts.__annotations__.keys() - {"title", "summary", "unrestricted"}
    assert set(TABLES) == known
    assert [] == [name for name in known if not part(name)]


@pytest.mark.parametrize("table", TABLES)
def test_every_field_is_named_where_its_table_is(table):
    """A field nobody explains is one nobody fills in."""
    text = part(table)
    named = TABLES[table].__annotations__.keys() - EVERYWHERE
    assert [] == sorted(name for name in named if not re.search(rf"\b{name}\b", text))
