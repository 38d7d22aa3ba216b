"""Fetches from a hub: complete, resumed, checked, or not at all."""

import errno
import fcntl
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.gguf_bytes import written
from tests.safetensors_bytes import vectors
from tests.standin_hub import StandinHub

from seatrial.catalog.types import Checkpoint, CheckpointFile
from seatrial.errors import DoesNotFitError, ModelFileError, NetworkError, RefusedError, UsageError
from seatrial.fetch.checkpoint import fetch_checkpoint, found_path, local_path
from seatrial.fetch.disk import writing

NAME = "model-Q4_K_M.gguf"
ROOT = Path(__file__).parents[2]
TOKEN = "hf_made_up_for_this_test"
AGAIN = {"Retry-After": "0"}


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """Set up a cache folder that does not exist yet, without the settings of the person who runs the tests."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("SEATRIAL_CACHE", str(folder))
    for name in ("HF_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture(scope="session")
def gguf(tmp_path_factory):
    """Write a well-formed GGUF of about 3 MB."""
    return written(tmp_path_factory.mktemp("gguf") / NAME, (768, 1024), seed=0)


@pytest.fixture
def hub(gguf, monkeypatch):
    """Serve a hub with two quantizations of one model."""
    with StandinHub({NAME: gguf, "model-Q8_0.gguf": b"other", "README.md": b"about"}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture
def unused_port():
    """Return a port on which nothing listens."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def checkpoint(name="someone/model-GGUF:Q4_K_M", **fields):
    """Make a checkpoint that is in no catalog."""
    values = {"format": "gguf", "precision": "Q4_K_M", "weights_bytes": None, "engines": ("llamacpp",), **fields}
    return Checkpoint(id=name, model="flash", origin="assumed", source="made for a test", **values)


def sha256(path):
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def everything_under(folder):
    """List the names of all files except locks."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".lock"))


@pytest.mark.usefixtures("hub")
def test_only_the_wanted_quantization_arrives(gguf, cache):
    """The path returned holds exactly the bytes of the quantization asked for, and nothing else was fetched."""
    path = fetch_checkpoint(checkpoint())
    assert gguf == path.read_bytes()
    assert [NAME, "seatrial.json"] == everything_under(cache)
    assert path == local_path(checkpoint())


def test_a_known_commit_is_what_is_fetched(hub):
    """The catalog's bytes are of one revision: listing and files come from there, and the person reads which."""
    commit, told = "6821d6ad3681a4b137b066b76094fa82ebd0a380", []
    fetch_checkpoint(checkpoint(revision=commit), on_progress=lambda event: told.append(event.text))
    assert all(commit in path for path, _ in hub.requests)
    assert "at 6821d6ad" in told[0]


@pytest.mark.parametrize("revision", ["7872f01b", "main", "../../other", "g" * 40])
def test_digits_that_no_hub_finds_are_told_instead(hub, revision):
    """Only all 40 digits of a commit find it: otherwise the newest is fetched, and the person reads what differs."""
    told, moved = [], "9e165c30e2704aec5d9d593cce3eebd58bbef1cb"
    row = checkpoint(revision=revision, moved_to=moved)
    fetch_checkpoint(row, on_progress=lambda event: told.append(event.text))
    assert all("/main" in path for path, _ in hub.requests)
    assert f"as it is now (the catalog has the bytes of revision {revision[:8]}" in told[0]
    assert "the repository has since moved to 9e165c30" in told[0]


def test_a_commit_that_is_gone_is_named(hub):
    """A repository whose history was rewritten: which revision is missing, and nothing is written."""
    hub.listing_answers.append((404, {}))
    with pytest.raises(UsageError, match=r"at revision 6821d6ad"):
        fetch_checkpoint(checkpoint(revision="6821d6ad3681a4b137b066b76094fa82ebd0a380"))


def test_a_second_fetch_asks_the_hub_for_nothing(hub):
    """A complete checkpoint needs no request."""
    first = fetch_checkpoint(checkpoint())
    asked = len(hub.requests)
    assert first == fetch_checkpoint(checkpoint())
    assert asked == len(hub.requests)


@pytest.mark.usefixtures("hub")
def test_needed_and_free_bytes_are_reported_before_anything_is_written(gguf, cache):
    """The first event names both sizes, and comes while the cache folder does not exist yet."""
    seen = []
    fetch_checkpoint(checkpoint(), on_progress=lambda event: seen.append((event, cache.exists())))
    first, existed = seen[0]
    assert ("size", False) == (first.stage, existed)
    assert "3.0 MiB" in first.text
    assert "free" in first.text
    assert ("done", len(gguf)) == (seen[-1][0].stage, max(event.done_bytes for event, _ in seen))


def test_a_disk_too_small_writes_nothing(hub, cache):
    """By the hub's sizes: a listing of an exabyte is refused before the first byte."""
    size = 10**18
    hub.listing_body = json.dumps([{"type": "file", "path": NAME, "size": size, "oid": "0" * 40}]).encode()
    with pytest.raises(DoesNotFitError) as caught:
        fetch_checkpoint(checkpoint())
    assert "too little" in caught.value.what
    assert not cache.exists()
    assert [] == hub.asked("/resolve/")


def test_a_disk_too_small_by_the_catalog_is_refused_without_a_request(hub, cache):
    """The catalog's size is enough to refuse it."""
    with pytest.raises(DoesNotFitError):
        fetch_checkpoint(checkpoint(weights_bytes=10**18))
    assert [] == hub.requests
    assert not cache.exists()


def test_cuts_are_resumed_where_they_happened(hub, gguf):
    """Three cuts: each next request asks only for the rest, and the hash is right."""
    hub.cuts.extend([1_000_000, 500_000, 250_000])
    events = []
    path = fetch_checkpoint(checkpoint(), on_progress=events.append)
    assert hashlib.sha256(gguf).hexdigest() == sha256(path)
    ranges = [headers.get("Range") for headers in hub.asked("/resolve/")]
    assert [None, "bytes=1000000-", "bytes=1500000-", "bytes=1750000-"] == ranges
    assert 3 == sum(event.stage == "retry" for event in events)


def test_a_killed_process_leaves_a_part_that_the_next_one_resumes(hub, gguf, cache):
    """SIGKILL in the middle: the file has no final name, and the next fetch asks for the rest."""
    hub.pause, hub.pause_after = threading.Event(), 1_500_000
    code = """
        from seatrial.fetch.checkpoint import fetch_checkpoint
        from seatrial.catalog.types import Checkpoint
        fetch_checkpoint(Checkpoint("someone/model-GGUF:Q4_K_M", "flash", "gguf", "Q4_K_M", None, "assumed", "test",
                                    ("llamacpp",)))
    """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)])
    deadline = time.monotonic() + 60
    while sum(path.stat().st_size for path in cache.rglob("*.part")) < hub.pause_after:
        assert time.monotonic() < deadline
        assert child.poll() is None
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert None is local_path(checkpoint())
    hub.pause.set()
    hub.pause = None
    path = fetch_checkpoint(checkpoint())
    assert gguf == path.read_bytes()
    assert "bytes=1500000-" == hub.asked("/resolve/")[-1].get("Range")
    assert [NAME, "seatrial.json"] == everything_under(cache)


def test_a_server_without_range_still_works(hub, gguf):
    """The answer to a Range request is the whole file: it replaces the part."""
    hub.ranges = False
    hub.cuts.append(1_000_000)
    assert gguf == fetch_checkpoint(checkpoint()).read_bytes()


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_that_stumbles_is_waited_for(hub, gguf, status):
    """Busy answers, in the listing and for the file, are retried after the time the server names."""
    hub.listing_answers.append((status, AGAIN))
    hub.answers.extend([(status, AGAIN), (status, AGAIN)])
    assert gguf == fetch_checkpoint(checkpoint()).read_bytes()


def test_a_server_that_never_recovers_ends_in_one_error(hub):
    """Six refusals in a row are enough; the message says how often and what to do."""
    hub.answers.extend([(503, AGAIN)] * 50)
    with pytest.raises(NetworkError) as caught:
        fetch_checkpoint(checkpoint())
    assert f"{NAME}: the server answers 503, 6 times in a row." == caught.value.what
    assert 6 == len(hub.asked("/resolve/"))
    assert None is local_path(checkpoint())


def test_the_same_cut_over_and_over_ends_too(hub):
    """The same bytes again are no progress: a server without Range that always cuts ends in an error."""
    hub.ranges = False
    hub.cuts.extend([1000] * 2)
    hub.answers.extend([None, *[(503, AGAIN)] * 4, None])
    with pytest.raises(NetworkError, match="cut, 6 times in a row"):
        fetch_checkpoint(checkpoint())


def test_right_size_but_corrupt_is_set_aside(hub, gguf, cache):
    """Wrong bytes of the right length never get the file's name; a healthy hub then repairs it."""
    hub.bodies[NAME] = gguf[:-1] + bytes([gguf[-1] ^ 1])
    with pytest.raises(ModelFileError) as caught:
        fetch_checkpoint(checkpoint())
    assert "corrupt" in caught.value.what
    assert None is local_path(checkpoint())
    assert [f"{NAME}.{hashlib.sha256(gguf).hexdigest()[:12]}.part.corrupt"] == everything_under(cache)
    hub.bodies.clear()
    assert gguf == fetch_checkpoint(checkpoint()).read_bytes()


def test_a_part_that_went_bad_costs_one_more_download(hub, gguf, cache):
    """A partial file whose bytes changed on the disk is noticed and fetched from the start."""
    folder = cache / "models" / "someone--model-GGUF--Q4_K_M"
    folder.mkdir(parents=True)
    part = folder / f"{NAME}.{hashlib.sha256(gguf).hexdigest()[:12]}.part"
    part.write_bytes(b"\0" * 1000)
    assert gguf == fetch_checkpoint(checkpoint()).read_bytes()
    assert ["bytes=1000-", None] == [headers.get("Range") for headers in hub.asked("/resolve/")]


@pytest.mark.usefixtures("hub")
def test_a_part_of_another_version_is_removed(cache):
    """Parts that can never be finished do not fill the disk."""
    folder = cache / "models" / "someone--model-GGUF--Q4_K_M"
    folder.mkdir(parents=True)
    (folder / f"{NAME}.000000000000.part").write_bytes(b"\0" * 1000)
    fetch_checkpoint(checkpoint())
    assert [NAME, "seatrial.json"] == everything_under(cache)


def test_a_part_of_a_file_with_a_longer_name_stays(hub, gguf, cache):
    """``LICENSE.model.gguf.<digits>.part`` is no other version of ``LICENSE``."""
    hub.files = {"model.safetensors": vectors(w=1), "config.json": b"{}", "LICENSE": b"free"}
    folder = cache / "models" / "someone--model-GGUF"
    folder.mkdir(parents=True)
    kept = ["LICENSE.txt.0123456789ab.part", "LICENSE.0123456789abc.part", "LICENSE.x.part"]
    for name in (*kept, "LICENSE.0123456789ab.part", "LICENSE.unknown.part"):
        (folder / name).write_bytes(gguf[:10])
    fetch_checkpoint(checkpoint("someone/model-GGUF", format="safetensors", engines=("sglang",)))
    assert sorted(kept) == sorted(path.name for path in folder.glob("*.part"))


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_disk_without_locks_is_bad_input(monkeypatch, cache, number):
    """Lustre and NFS can be mounted so: the message names the variable that moves the cache, and nothing is left."""

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(UsageError, match="SEATRIAL_CACHE") as caught:
        fetch_checkpoint(checkpoint())
    assert f"cannot be locked, and two fetches at once would mix their files: {os.strerror(number)}." in str(
        caught.value
    )
    assert [] == [path for path in cache.rglob("*") if path.is_file()]


@pytest.mark.usefixtures("hub")
def test_a_file_that_changed_on_the_disk_is_never_used(gguf):
    """One byte flipped after the fetch: not found locally any more, set aside and fetched again."""
    path = fetch_checkpoint(checkpoint())
    with path.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(bytes([gguf[-1] ^ 1]))
    assert None is local_path(checkpoint())
    assert gguf == fetch_checkpoint(checkpoint()).read_bytes()
    assert path.with_name(f"{NAME}.corrupt").exists()


def test_a_touched_file_is_hashed_again_and_kept(hub):
    """New time stamps on the same bytes cost a hash, not a download."""
    path = fetch_checkpoint(checkpoint())
    os.utime(path, (1, 1))
    assert path == local_path(checkpoint())
    assert 1 == len(hub.asked("/resolve/"))


@pytest.mark.usefixtures("hub")
def test_a_new_owner_costs_a_plan_nothing(gguf):
    """``chown -R`` changes a time stamp of every file: a plan reads no byte, and whoever needs the bytes reports it."""
    path, told = fetch_checkpoint(checkpoint()), []
    status = path.stat()
    path.write_bytes(b"x" * len(gguf))  # other bytes, which only reading them shows
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path == found_path(checkpoint())
    assert None is local_path(checkpoint(), on_progress=lambda event: told.append((event.stage, event.text)))
    assert [("check", f"checking {NAME} again (3.0 MiB): it has new time stamps")] == told


@pytest.mark.usefixtures("hub")
def test_a_file_that_was_modified_or_is_gone_is_not_found_unread():
    """Another time of modification, another size, no file."""
    path = fetch_checkpoint(checkpoint())
    content = path.read_bytes()
    path.write_bytes(b"x" + content[1:])
    assert None is found_path(checkpoint())
    path.write_bytes(content)
    assert path == found_path(checkpoint())
    status = path.stat()
    path.write_bytes(content[:-1])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert None is found_path(checkpoint())
    path.unlink()
    assert None is found_path(checkpoint())


def test_the_token_stays_on_its_origin(hub, gguf, monkeypatch):
    """The hub gets the token, the store it redirects to does not, and no event shows it."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    events = []
    with StandinHub({NAME: gguf}) as store:
        hub.store = store.url
        fetch_checkpoint(checkpoint(), on_progress=events.append)
        assert {f"Bearer {TOKEN}"} == {headers.get("Authorization") for _, headers in hub.requests}
        assert [None] == [headers.get("Authorization") for headers in store.asked("/store/")]
    assert TOKEN not in repr(events)


def test_a_redirect_within_the_hub_keeps_the_token(hub, monkeypatch):
    """Renamed repositories redirect on the same host, and may be private."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.store = hub.url
    fetch_checkpoint(checkpoint())
    assert f"Bearer {TOKEN}" == hub.asked("/store/")[0].get("Authorization")


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x"])
def test_redirects_to_other_kinds_of_addresses_are_refused(hub, cache, address):
    """A hub cannot make us read a local file."""
    hub.answers.extend([(302, {"Location": address})] * 10)
    with pytest.raises(NetworkError):
        fetch_checkpoint(checkpoint())
    assert [] == everything_under(cache)


@pytest.mark.parametrize("endpoint", ["file:///etc", "http://user:secret@127.0.0.1:9", "127.0.0.1:9", "http://"])
def test_an_endpoint_that_is_no_hub_is_bad_input(monkeypatch, endpoint):
    """The message says what HF_ENDPOINT should look like, and does not repeat a password."""
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(UsageError, match="HF_ENDPOINT") as caught:
        fetch_checkpoint(checkpoint())
    assert "secret" not in str(caught.value)


def test_the_listing_is_read_page_by_page(hub, gguf):
    """A file on the last page is found."""
    hub.page_size = 1
    assert gguf == fetch_checkpoint(checkpoint()).read_bytes()
    assert 4 == len(hub.asked("/api/models/"))


def test_all_parts_of_a_split_model_arrive(hub, gguf):
    """The first part is what an engine is given."""
    hub.files = {f"Q4_K_M/big-Q4_K_M-0000{n}-of-00003.gguf": gguf for n in (1, 2, 3)}
    path = fetch_checkpoint(checkpoint())
    assert "big-Q4_K_M-00001-of-00003.gguf" == path.name
    assert 3 == len(list(path.parent.glob("*.gguf")))


def test_a_missing_part_of_a_split_model_is_refused_before_the_download(hub, gguf, cache):
    """The message names the first part that is not there."""
    hub.files = {f"big-Q4_K_M-0000{n}-of-00003.gguf": gguf for n in (1, 3)}
    with pytest.raises(ModelFileError, match="number 2"):
        fetch_checkpoint(checkpoint())
    assert not cache.exists()


@pytest.mark.usefixtures("hub")
def test_an_unknown_quantization_lists_what_there_is():
    """With the sizes, so that one can choose."""
    with pytest.raises(UsageError) as caught:
        fetch_checkpoint(checkpoint("someone/model-GGUF:Q2_K"))
    assert "Q4_K_M (3.0 MiB), Q8_0 (5 B)" in caught.value.remedy


def test_a_plain_quantization_is_not_the_dynamic_one(hub, gguf):
    """``Q4_K_XL`` and ``UD-Q4_K_XL`` are two things."""
    hub.files = {"m-UD-Q4_K_XL.gguf": b"other", "m-Q4_K_XL.gguf": gguf}
    assert "m-Q4_K_XL.gguf" == fetch_checkpoint(checkpoint("someone/model-GGUF:Q4_K_XL")).name


def test_safetensors_come_with_config_and_tokenizer_and_without_pickles(hub):
    """Of a mixed repository: weights, JSON and tokenizer; no .bin, no code, no sub-folder."""
    hub.files = {
        "model-00001-of-00002.safetensors": vectors(one=1),
        "model-00002-of-00002.safetensors": vectors(two=1),
        "config.json": b"{}",
        "tokenizer.json": b"{}",
        "chat_template.jinja": b"{{ messages }}",
        "pytorch_model.bin": b"pickled",
        "modeling.py": b"code",
        "original/model.safetensors": b"again",
    }
    folder = fetch_checkpoint(checkpoint("someone/model-GGUF", format="safetensors", engines=("sglang",)))
    expected = [
        "chat_template.jinja",
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "seatrial.json",
        "tokenizer.json",
    ]
    assert expected == everything_under(folder)
    assert folder == local_path(checkpoint("someone/model-GGUF"))


def test_small_files_are_checked_by_their_git_hash(hub):
    """Hubs give no SHA-256 for files outside LFS: a changed config.json is still noticed."""
    hub.files = {"model.safetensors": vectors(w=1), "config.json": b'{"a": 1}'}
    hub.bodies["config.json"] = b'{"a": 2}'
    with pytest.raises(ModelFileError, match=r"config\.json is corrupt"):
        fetch_checkpoint(checkpoint("someone/model-GGUF", format="safetensors", engines=("sglang",)))


def test_pickled_weights_are_refused(hub, cache):
    """A repository with .bin files only is not downloaded."""
    hub.files = {"pytorch_model.bin": b"pickled", "config.json": b"{}"}
    with pytest.raises(RefusedError, match="pickled"):
        fetch_checkpoint(checkpoint("someone/model-GGUF", format="safetensors", engines=("sglang",)))
    assert not cache.exists()


def test_what_no_engine_loads_is_refused(hub):
    """Nobody downloads 150 GB that no engine can run."""
    with pytest.raises(RefusedError, match="no engine"):
        fetch_checkpoint(checkpoint(engines=()))
    assert [] == hub.requests


@pytest.mark.parametrize("name", ["../../evil-Q4_K_M.gguf", "/evil-Q4_K_M.gguf", "a/./b-Q4_K_M.gguf", "a\\b.gguf", ""])
def test_names_that_leave_the_folder_are_refused(hub, cache, name):
    """A listing cannot make us write elsewhere."""
    hub.files = {name: b"evil"}
    with pytest.raises(NetworkError, match="outside its folder"):
        fetch_checkpoint(checkpoint())
    assert not cache.exists()


@pytest.mark.parametrize("body", [b"<html>sign in</html>", b'{"error": "no"}', b"[1, 2]", b""])
def test_an_answer_that_is_no_listing_is_one_clear_error(hub, body):
    """A login page in place of the hub."""
    hub.listing_body = body
    with pytest.raises(NetworkError, match="not a list of files"):
        fetch_checkpoint(checkpoint())


@pytest.mark.parametrize("page", [b"<html>sign in</html>", b"<html>" + b" " * 4_000_000])
def test_a_page_in_place_of_the_file_is_noticed_by_its_size(hub, cache, page):
    """Shorter or longer than the listed size: no file remains."""
    hub.bodies[NAME] = page
    with pytest.raises(ModelFileError, match="but the server sends"):
        fetch_checkpoint(checkpoint())
    assert [] == everything_under(cache)


def test_a_file_that_is_no_gguf_is_set_aside(hub, cache):
    """The hub's hash of it is right, and still no engine reads it."""
    hub.files[NAME] = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"
    with pytest.raises(ModelFileError):
        fetch_checkpoint(checkpoint())
    assert [f"{NAME}.corrupt"] == everything_under(cache)


@pytest.mark.usefixtures("hub")
def test_a_changed_hub_file_is_not_what_the_catalog_checked():
    """The catalog's SHA-256 counts."""
    with pytest.raises(ModelFileError, match="changed on the hub"):
        fetch_checkpoint(checkpoint(files=(CheckpointFile(NAME, None, "0" * 64),)))


@pytest.mark.parametrize(
    ("status", "kind"), [(401, NetworkError), (403, NetworkError), (404, UsageError), (418, NetworkError)]
)
def test_a_refusal_is_not_retried(hub, status, kind):
    """Asking again would not help: licence, spelling."""
    hub.listing_answers.extend([(status, {})] * 10)
    with pytest.raises(kind):
        fetch_checkpoint(checkpoint())
    assert 1 == len(hub.requests)


def test_offline_is_one_line(monkeypatch, unused_port, cache):
    """Without a server, the message names the host, the reason and what to do."""
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{unused_port}")
    with pytest.raises(NetworkError) as caught:
        fetch_checkpoint(checkpoint())
    assert f"127.0.0.1:{unused_port} cannot be reached: connection refused." == caught.value.what
    assert not cache.exists()


def test_two_at_once_download_once(hub, gguf):
    """The second waits for the first one's lock and finds it done."""
    hub.pause, hub.pause_after = threading.Event(), 1000
    waiting = threading.Event()
    paths = []

    def fetch():
        def on_progress(event):
            if event.stage == "wait":
                waiting.set()

        paths.append(fetch_checkpoint(checkpoint(), on_progress=on_progress))

    threads = [threading.Thread(target=fetch) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert waiting.wait(30)
    hub.pause.set()
    for thread in threads:
        thread.join(30)
    assert 1 == len(set(paths))
    assert 1 == len(hub.asked("/resolve/"))
    assert gguf == paths[0].read_bytes()


def test_a_folder_is_a_source(gguf, tmp_path, cache):
    """--source: the same choice and the same checks, without a network."""
    stick = tmp_path / "usb"
    (stick / "sub").mkdir(parents=True)
    (stick / "sub" / NAME).write_bytes(gguf)
    (stick / "model-Q8_0.gguf").write_bytes(b"other")
    path = fetch_checkpoint(checkpoint(), source=stick)
    assert gguf == path.read_bytes()
    assert path.is_relative_to(cache)


def test_a_folder_with_other_bytes_is_refused(gguf, tmp_path):
    """If the catalog has a SHA-256, the folder's file must match it."""
    (tmp_path / NAME).write_bytes(gguf)
    wanted = checkpoint(files=(CheckpointFile(NAME, len(gguf), "0" * 64),))
    with pytest.raises(ModelFileError):
        fetch_checkpoint(wanted, source=tmp_path)
    assert None is local_path(wanted)


def test_a_folder_without_the_file_is_bad_input(tmp_path):
    """The message names the missing file, or the missing folder."""
    with pytest.raises(UsageError, match="holds no"):
        fetch_checkpoint(checkpoint(files=(CheckpointFile(NAME),)), source=tmp_path)
    with pytest.raises(UsageError, match="not a folder"):
        fetch_checkpoint(checkpoint(), source=tmp_path / "nowhere")


def test_a_local_path_is_its_own_checkpoint(gguf, tmp_path, cache):
    """Nothing is copied; a file that is no model is refused."""
    path = tmp_path / NAME
    path.write_bytes(gguf)
    own = checkpoint(str(path))
    assert path == fetch_checkpoint(own)
    assert path == local_path(own)
    assert not cache.exists()
    path.write_bytes(b"")
    with pytest.raises(ModelFileError):
        fetch_checkpoint(own)
    assert None is local_path(replace(own, id=str(tmp_path / "nowhere.gguf")))


@pytest.mark.usefixtures("hub")
def test_a_cache_that_cannot_be_written_is_bad_input(monkeypatch, tmp_path):
    """The message names the variable that moves it."""
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path / "file"))
    with pytest.raises(UsageError, match="SEATRIAL_CACHE"):
        fetch_checkpoint(checkpoint())


def test_a_full_disk_says_so():
    """The kernel's own error for a full disk becomes one with a remedy."""
    with (
        pytest.raises(DoesNotFitError, match="full") as caught,
        writing(Path("/dev/full")),
        Path("/dev/full").open("wb", buffering=0) as stream,
    ):
        stream.write(b"x")
    assert errno.ENOSPC == caught.value.__cause__.errno


def test_a_disk_that_fills_up_during_a_download_causes_no_second_request(gguf, hub):
    """The last bytes before the disk was full came in one small piece: still one clear error, no second request.

    A limit on the size of files stands in for the full disk: the kernel refuses the same write.
    """
    code = """
        import resource
        from tests.fetch.test_checkpoint import checkpoint
        from seatrial.errors import UsageError
        from seatrial.fetch.checkpoint import fetch_checkpoint
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
        try:
            fetch_checkpoint(checkpoint())
        except UsageError as error:
            assert "part cannot be written: File too large" in str(error), error
        else:
            raise AssertionError
    """
    hub.files[NAME] = gguf[:1000]
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, cwd=ROOT)
    assert 1 == len(hub.asked("/resolve/"))


def test_a_disk_that_fills_up_during_a_copy_is_no_corrupt_file(gguf, tmp_path):
    """The last write before the disk was full takes only some of its bytes; the limit stands in for a full disk."""
    code = f"""
        import resource
        from tests.fetch.test_checkpoint import checkpoint
        from seatrial.errors import UsageError
        from seatrial.fetch.checkpoint import fetch_checkpoint
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
        try:
            fetch_checkpoint(checkpoint(), source={str(tmp_path)!r})
        except UsageError as error:
            assert "part cannot be written: File too large" in str(error), error
        else:
            raise AssertionError
    """
    (tmp_path / NAME).write_bytes(gguf)
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, cwd=ROOT)
