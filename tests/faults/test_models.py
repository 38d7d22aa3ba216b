"""Fault 33: a file that is no model is refused before any engine sees it."""

import pytest
from tests.catalog.test_gguf import WRONG
from tests.gguf_bytes import UINT16, gguf, pair

from seatrial.errors import ModelFileError, UsageError
from seatrial.hardware import detect_hardware
from seatrial.launching import launch
from seatrial.plan import make_plan
from seatrial.server import list_servers

PARTS = gguf([pair("split.no", UINT16, 0), pair("split.count", UINT16, 2)])


@pytest.fixture
def launched_with(require):
    """Launch llama.cpp with a file: the error, and that no engine was started."""
    require("xllamacpp")
    plan = make_plan("smollm2", hardware=detect_hardware())

    def start(path):
        with pytest.raises(ModelFileError) as caught:
            launch(plan, model_path=path)
        assert [] == list_servers(ended=True)
        return caught.value

    return start


@pytest.mark.fault(33)
def test_a_bad_file_reaches_no_engine(launched_with, tmp_path, seen):
    """Empty, a web page, an LFS pointer, cut, absurd counts and all the others: one typed error that names the file."""
    path = tmp_path / "model.gguf"
    for content in WRONG.values():
        path.write_bytes(content)
        error = launched_with(path)
        assert str(path) in error.what
        seen.cause(error)
    seen.ran(f"{len(WRONG)} kinds")


def test_no_file_at_all(require, tmp_path):
    """Bad usage, with the path."""
    require("xllamacpp")
    with pytest.raises(UsageError, match="no-such-file"):
        launch(make_plan("smollm2", hardware=detect_hardware()), model_path=tmp_path / "no-such-file.gguf")


@pytest.mark.fault(33)
def test_a_missing_part_reaches_no_engine(launched_with, tmp_path, seen):
    """The first of two parts is here, the second is not."""
    path = tmp_path / "model-00001-of-00002.gguf"
    path.write_bytes(PARTS)
    error = launched_with(path)
    assert "model-00002-of-00002.gguf" in error.what
    seen.cause(error)


@pytest.mark.fault(33)
def test_a_bad_safetensors_reaches_no_engine(launched_with, tmp_path, seen):
    """A folder whose only part says that its header is longer than the file."""
    (tmp_path / "model.safetensors").write_bytes((1 << 40).to_bytes(8, "little") + b"{}")
    error = launched_with(tmp_path)
    assert "model.safetensors" in error.what
    seen.cause(error)
