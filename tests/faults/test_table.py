"""Every fault of the table is injected by some test, and no test injects another."""

import ast
import tomllib
from pathlib import Path

HERE = Path(__file__).parent


def injected():
    """Return the numbers of the faults that tests of this folder are marked with."""
    for path in sorted(HERE.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.fault":
                yield ast.literal_eval(node.args[0])


def test_every_fault_is_injected():
    """Thirty-six, each by at least one test."""
    table = tomllib.loads((HERE / "faults.toml").read_text(encoding="utf-8"))["faults"]
    assert list(range(1, 37)) == [row["number"] for row in table] == sorted(set(injected()))
