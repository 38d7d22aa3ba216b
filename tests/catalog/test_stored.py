"""What was fetched is found by its id, whatever else lies in the cache."""

import os
import subprocess
import sys
import textwrap

import pytest
from tests.fetch.test_checkpoint import checkpoint, gguf, hub

from seatrial.catalog.stored import find_fetched, folder_of
from seatrial.fetch.checkpoint import fetch_checkpoint
from seatrial.paths import models_dir

__all__ = ["gguf", "hub"]

FIND = """
    import sys
    from seatrial.catalog.stored import find_fetched
    from seatrial.errors import UsageError
    try:
        print(find_fetched(sys.argv[1]) is not None)
    except UsageError as error:
        print(error.what)
"""


def found_by_somebody(name):
    """Return what somebody without root's rights finds: True, False, or the message."""
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.getuid() == 0 else []
    command = [*drop, sys.executable, "-c", textwrap.dedent(FIND), name]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("other", ["aaa--other--Q8_0", "someone--model-GGUF-2--Q4_K_M"])
def test_a_list_of_another_checkpoint_that_cannot_be_read_is_in_nobody_s_way(require, monkeypatch, tmp_path, other):
    """``sudo`` fetched that one: the wanted one is found all the same, and only that one's own id is an error."""
    require("setpriv")
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path / "cache"))
    fetch_checkpoint(checkpoint())
    closed = models_dir() / other
    closed.mkdir()
    (closed / "seatrial.json").write_text("{}")
    (closed / "seatrial.json").chmod(0)
    assert "True" == found_by_somebody("someone/model-GGUF:Q4_K_M")
    assert "True" == found_by_somebody("Someone/Model-gguf")
    assert f"{closed} cannot be read: Permission denied." == found_by_somebody(
        other.replace("--", "/", 1).replace("--", ":")
    )


@pytest.mark.usefixtures("hub")
def test_a_damaged_list_of_files_counts_as_none(monkeypatch, tmp_path):
    """Cut, empty or of another kind: not fetched."""
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path / "cache"))
    fetch_checkpoint(checkpoint())
    assert None is not find_fetched("someone/model-GGUF")
    for text in ("", "{", "[]", '{"checkpoint": 3}'):
        (folder_of(checkpoint()) / "seatrial.json").write_text(text)
        assert None is find_fetched("someone/model-GGUF")
