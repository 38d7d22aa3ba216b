"""Commands about servers start fast: they look at records and processes, and plan nothing."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("words", [("ps",), ("ps", "--all", "--json"), ("stop", "--all"), ("logs", "nobody")])
def test_looking_at_servers_loads_no_planner(words):
    """The planner takes half a second to load and has no part in it, unless a server ended for want of memory."""
    code = f"import sys; from seatrial.cli.main import main; main({list(words)}); print('seatrial.plan' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "False" == output.splitlines()[-1]


@pytest.mark.parametrize("words", [(), ("--help",), ("--version",), ("plan", "--no-such-option"), ("nonsense",)])
def test_help_and_wrong_words_load_nothing_heavy(words):
    """Readers of records and networks cost more than all the rest of an answer that needs none of them."""
    heavy = "('msgspec', 'rich', 'aiohttp', 'psutil', 'numpy')" if words[:1] != ("plan",) else "('aiohttp', 'numpy')"
    code = f"import sys; from seatrial.cli.main import main; main({list(words)}); print([n for n in {heavy} if n in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "[]" == output.splitlines()[-1]
