"""What Hugging Face's own cache holds is found, checked once, used where it is, and never downloaded again."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
from types import SimpleNamespace

import pytest
from tests.fetch.test_checkpoint import NAME, cache, checkpoint, gguf, hub
from tests.hub_cache import MAIN, HubCache
from tests.safetensors_bytes import vectors

from seatrial.catalog import find_checkpoint
from seatrial.catalog.hub_cache import cached_at
from seatrial.cli.main import main
from seatrial.engines.served import served_name
from seatrial.errors import DoesNotFitError, ModelFileError, NetworkError, UnknownNameError, UsageError
from seatrial.fetch.checkpoint import adopt_checkpoint, fetch_checkpoint, found_path, local_path
from seatrial.fetch.tiny import write_tiny

__all__ = ["cache", "gguf", "hub"]

PARTS = {f"model-0000{n}-of-00002.safetensors": vectors(**{f"w{n}": n}) for n in (1, 2)}
INDEX = {
    "metadata": {"total_size": 6},
    "weight_map": {f"w{n}": f"model-0000{n}-of-00002.safetensors" for n in (1, 2)},
}
SAFETENSORS = PARTS | {
    "model.safetensors.index.json": json.dumps(INDEX).encode(),
    "config.json": b"{}",
    "tokenizer.json": b"[]",
}


@pytest.fixture
def theirs(monkeypatch, tmp_path):
    """Return an empty cache of Hugging Face's, and no hub that could be asked."""
    for name in ("HF_HOME", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "theirs"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    return HubCache(tmp_path / "theirs")


@pytest.fixture
def free(monkeypatch):
    """Return a function that leaves only so many bytes free on the disk."""

    def leave(count):
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=count))

    return leave


def of_safetensors(name="someone/model-GGUF", **fields):
    """Make a checkpoint of safetensors that is in no catalog."""
    return checkpoint(name, format="safetensors", engines=("sglang",), **fields)


@pytest.mark.parametrize("links", [True, False], ids=["links", "copies"])
def test_a_complete_snapshot_is_used_where_it_is(theirs, gguf, cache, links):
    """Without a request, without a copy, without a change there; what it is and where it was found is told."""
    snapshot = theirs.add({NAME: gguf, "model-Q8_0.gguf": b"other", "README.md": b"about"}, links=links)
    before, told = theirs.state(), []
    assert snapshot / NAME == found_path(checkpoint())
    path = fetch_checkpoint(checkpoint(), on_progress=lambda event: told.append(event.text))
    assert snapshot / NAME == path == local_path(checkpoint())
    assert "in Hugging Face's cache" in told[0]
    assert str(snapshot) in told[0]
    assert before == theirs.state()
    assert [] == list(cache.rglob("*.gguf"))


def test_the_bytes_are_checked_once(theirs, gguf):
    """The second time costs a look at the time stamps; a change after it is noticed."""
    theirs.add({NAME: gguf})
    fetch_checkpoint(checkpoint())
    told = []
    fetch_checkpoint(checkpoint(), on_progress=lambda event: told.append((event.stage, event.text)))
    assert ["done"] == [stage for stage, _ in told]
    assert "already on this disk" in told[0][1]
    blob = next((theirs.folder / "blobs").iterdir())
    blob.write_bytes(gguf[:-1] + bytes([gguf[-1] ^ 1]))
    assert None is local_path(checkpoint())


def test_all_parts_of_a_split_model_are_found_with_their_names(theirs, gguf, cache):
    """A sub-folder of the snapshot: the engine gets the first part's name, not that of a blob."""
    names = [f"Q4_K_M/big-Q4_K_M-0000{n}-of-00001.gguf" for n in (1,)]
    snapshot = theirs.add(dict.fromkeys(names, gguf))
    assert snapshot / names[0] == fetch_checkpoint(checkpoint())
    assert not list(cache.rglob("*.gguf"))


def test_safetensors_are_complete_by_their_index(theirs):
    """Every shard, the index, config and tokenizer: the snapshot's folder is what an engine gets."""
    snapshot = theirs.add(SAFETENSORS)
    assert snapshot == fetch_checkpoint(of_safetensors())


@pytest.mark.parametrize(
    ("variable", "place"),
    [
        ("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "hub"),
        ("XDG_CACHE_HOME", "huggingface/hub"), ("HOME", ".cache/huggingface/hub"),
    ],
)  # fmt: skip
def test_the_cache_is_where_the_hubs_library_has_it(monkeypatch, tmp_path, gguf, theirs, variable, place):  # noqa: PLR0913, PLR0917 -- one case
    """Each variable moves it; one that is set and empty counts as unset."""
    monkeypatch.setenv("HF_HUB_CACHE", "")
    monkeypatch.setenv("HF_HOME", "")
    monkeypatch.setenv(variable, str(tmp_path / "moved"))
    assert not theirs.folder.exists()
    snapshot = HubCache(tmp_path / "moved" / place).add({NAME: gguf})
    assert snapshot / NAME == found_path(checkpoint())


def test_the_wanted_revision_comes_first(theirs, gguf):
    """Then the newest of the main branch; another revision than the catalog's is told."""
    old, told = theirs.add({NAME: gguf}, "b" * 40, main=False), []
    new = theirs.add({NAME: gguf})
    assert old / NAME == found_path(checkpoint(revision="b" * 40))
    assert old / NAME == found_path(checkpoint(revision="bbbbbbbb"))
    assert new / NAME == found_path(checkpoint())
    fetch_checkpoint(checkpoint(revision="c" * 40), on_progress=lambda event: told.append(event.text))
    assert f"(revision {MAIN[:8]}; the catalog has the bytes of revision cccccccc)" in told[0]


def test_an_older_snapshot_that_is_complete_is_used(theirs):
    """The newest lacks a shard."""
    old = theirs.add(SAFETENSORS, "b" * 40, main=False)
    theirs.add({name: body for name, body in SAFETENSORS.items() if "00002" not in name})
    assert old == found_path(of_safetensors())


@pytest.mark.parametrize("lost", sorted(SAFETENSORS.keys() - {"tokenizer.json", "model.safetensors.index.json"}))
def test_an_incomplete_snapshot_is_completed_in_our_cache(theirs, hub, cache, lost):
    """Only the missing file is downloaded; the others are links to theirs, which stay as they are."""
    hub.files = dict(SAFETENSORS)
    os.environ["HF_ENDPOINT"] = hub.url  # the fixtures' monkeypatch puts it back
    theirs.add({name: body for name, body in SAFETENSORS.items() if name != lost})
    before, told = theirs.state(), []
    folder = fetch_checkpoint(of_safetensors(), on_progress=lambda event: told.append(event.text))
    assert folder.is_relative_to(cache)
    assert SAFETENSORS == {name: (folder / name).read_bytes() for name in SAFETENSORS}
    assert [lost] == [path.rpartition("/")[2] for path, _ in hub.requests if "/resolve/" in path]
    assert [lost] == [name for name in sorted(SAFETENSORS) if not (folder / name).is_symlink()]
    assert before == theirs.state()
    assert any("are in Hugging Face's cache" in text for text in told)
    assert folder == local_path(of_safetensors())


def test_copies_in_a_snapshot_complete_it_too(theirs, hub):
    """On disks without links, snapshots hold the files themselves."""
    hub.files = dict(SAFETENSORS)
    os.environ["HF_ENDPOINT"] = hub.url
    theirs.add({name: body for name, body in SAFETENSORS.items() if "00001" not in name}, links=False)
    fetch_checkpoint(of_safetensors())
    asked = [path.rpartition("/")[2] for path, _ in hub.requests if "/resolve/" in path]
    assert ["model-00001-of-00002.safetensors"] == asked


def test_what_is_still_being_downloaded_there_is_not_used(theirs, hub, gguf, cache):
    """``.incomplete`` blobs and links that lead nowhere are no files."""
    os.environ["HF_ENDPOINT"] = hub.url
    snapshot = theirs.add({"README.md": b"about"})
    digest = hashlib.sha256(gguf).hexdigest()
    (theirs.folder / "blobs" / f"{digest}.incomplete").write_bytes(gguf[:1000])
    (snapshot / NAME).symlink_to(f"../../blobs/{digest}")
    assert None is found_path(checkpoint())
    path = fetch_checkpoint(checkpoint())
    assert (gguf, False) == (path.read_bytes(), path.is_symlink())
    assert path.is_relative_to(cache)


def test_a_damaged_file_there_is_left_and_fetched_into_our_cache(theirs, hub, gguf, cache):
    """Right size, wrong bytes: told, not used, not touched."""
    os.environ["HF_ENDPOINT"] = hub.url
    snapshot, told = theirs.add({NAME: gguf}), []
    wrong = gguf[:-1] + bytes([gguf[-1] ^ 1])
    (snapshot / NAME).resolve().write_bytes(wrong)
    before = theirs.state()
    with pytest.raises(ModelFileError, match="left as it is"):
        adopt_checkpoint(checkpoint())
    path = fetch_checkpoint(checkpoint(), on_progress=lambda event: told.append(event.text))
    assert gguf == path.read_bytes()
    assert path.is_relative_to(cache)
    assert any("left as it is" in text for text in told)
    assert before == theirs.state()


def test_files_that_were_deleted_there_are_fetched_again(theirs, hub):
    """Somebody cleaned their cache: our links lead nowhere, and the next fetch brings the files."""
    hub.files = dict(SAFETENSORS)
    os.environ["HF_ENDPOINT"] = hub.url
    theirs.add({name: body for name, body in SAFETENSORS.items() if name != "config.json"})
    folder = fetch_checkpoint(of_safetensors())
    for blob in (theirs.folder / "blobs").iterdir():
        blob.unlink()
    assert None is local_path(of_safetensors())
    assert folder == fetch_checkpoint(of_safetensors())
    assert SAFETENSORS == {name: (folder / name).read_bytes() for name in SAFETENSORS}


@pytest.mark.parametrize("spoil", ["a file", "a loop", "refs"])
def test_an_odd_cache_is_as_none(theirs, spoil):
    """A file in the place of a folder, a link to itself, a reference that is no commit: no traceback."""
    if spoil == "a file":
        theirs.folder.parent.mkdir(parents=True)
        theirs.folder.write_text("in the way")
    elif spoil == "a loop":
        snapshot = theirs.add({"README.md": b""})
        (snapshot / NAME).symlink_to(NAME)
    else:
        theirs.add({"README.md": b""}, MAIN)
        (theirs.folder / "refs" / "main").write_bytes(b"../../..\xff")
    assert None is found_path(checkpoint())
    with pytest.raises(NetworkError):
        fetch_checkpoint(checkpoint())


def test_a_hub_id_in_no_catalog_means_what_the_cache_holds(theirs, tmp_path):
    """For plan and serve too: by its id, with or without the quantization, as the same file by its path."""
    tiny = write_tiny(tmp_path / "tiny-Q4_K_M.gguf").read_bytes()
    snapshot = theirs.add({"tiny-Q4_K_M.gguf": tiny})
    by_path = find_checkpoint(str(snapshot / "tiny-Q4_K_M.gguf"))
    assert by_path == find_checkpoint("someone/model-GGUF:Q4_K_M") == find_checkpoint("someone/model-GGUF")
    assert snapshot / "tiny-Q4_K_M.gguf" == adopt_checkpoint(by_path)
    with pytest.raises(UnknownNameError):
        find_checkpoint("someone/other-GGUF")


def test_a_snapshot_is_called_by_its_repository(tmp_path):
    """Not by the hash that its folder is called by; any other path by its last part."""
    snapshot = str(tmp_path / "models--some--model--V4" / "snapshots" / MAIN)
    assert "some/model--V4" == served_name(snapshot)
    assert "x-Q4.gguf" == served_name(f"{snapshot}/x-Q4.gguf")
    assert MAIN == served_name(str(tmp_path / MAIN))


def test_a_cache_of_ours_that_cannot_be_written_costs_another_check(theirs, gguf, monkeypatch, tmp_path):
    """The files are used all the same."""
    snapshot = theirs.add({NAME: gguf})
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path / "file"))
    assert snapshot / NAME == fetch_checkpoint(checkpoint())
    assert snapshot / NAME == adopt_checkpoint(checkpoint())


def test_a_path_too_long_for_a_folder_s_name_is_remembered_too(theirs, gguf):
    """The check of a local path is kept under a shortened name."""
    snapshot = theirs.add({f"{'deep/' * 60}{NAME}": gguf})
    path = snapshot / ("deep/" * 60) / NAME
    own = checkpoint(str(path))
    assert path == adopt_checkpoint(own)
    told = []
    assert path == adopt_checkpoint(own, on_progress=told.append)
    assert [] == told


@pytest.mark.parametrize("name", ["HF_HUB_CACHE", "HF_HOME"])
def test_a_variable_that_names_no_path_is_bad_input(theirs, monkeypatch, name):
    """The message names it; nothing is downloaded a second time for a typing error."""
    assert not theirs.folder.exists()
    monkeypatch.setenv("HF_HUB_CACHE", "")
    monkeypatch.setenv(name, "~nobody-has-this-name/hub")
    with pytest.raises(UsageError, match=name):
        fetch_checkpoint(checkpoint())


def test_a_plan_says_where_the_checkpoint_is(gguf, capsys):
    """In Hugging Face's cache, for a checkpoint of the catalog; without it nothing is said."""
    name = "unsloth/DeepSeek-V4-Flash-0731-GGUF"
    words = ["plan", f"--checkpoint={name}:UD-Q4_K_XL", "--hardware=h200x8"]
    assert 0 == main(words)
    assert "on this disk" not in capsys.readouterr().out
    snapshot = HubCache(os.environ["HF_HUB_CACHE"], name).add({"UD-Q4_K_XL/model-UD-Q4_K_XL-00001-of-00001.gguf": gguf})
    assert 0 == main(words)
    expected = f"The checkpoint is on this disk: {snapshot}/UD-Q4_K_XL/model-UD-Q4_K_XL-00001-of-00001.gguf\n"
    assert expected in capsys.readouterr().out


def test_a_sub_folder_of_a_snapshot_is_a_checkpoint_of_its_own(theirs):
    """Another layout with its own config.json: its files and its path, not those of the snapshot."""
    snapshot = theirs.add(SAFETENSORS | {"inference/config.json": b"{}", "inference/model.safetensors": vectors(w=1)})
    place = snapshot / "inference"
    assert ["config.json", "model.safetensors"] == sorted(file.name for file in cached_at(place).files)
    assert place == adopt_checkpoint(of_safetensors(str(place)))
    assert place == local_path(of_safetensors(str(place)))


@pytest.mark.parametrize("place", ["docs", "docs/about.md", "nowhere", "lost.gguf"])
def test_a_place_in_a_snapshot_without_weights_is_no_checkpoint_there(theirs, place):
    """A folder of texts, a name that is not there, a link that leads nowhere."""
    snapshot = theirs.add({NAME: b"", "docs/about.md": b"about"})
    (snapshot / "lost.gguf").symlink_to("../../blobs/gone")
    found = cached_at(snapshot / place)
    assert found is None or [place] == [f"docs/{file.name}" for file in found.files]


@pytest.mark.parametrize(
    "files",
    [
        {"config.json": b"{}", "model.safetensors.index.json": SAFETENSORS["model.safetensors.index.json"]},
        {"config.json": b"{}", "original/model.safetensors": vectors(w=1)},
    ],
    ids=["only the index", "only another layout"],
)
def test_a_snapshot_without_weights_is_not_complete(theirs, files):
    """An index without its shards, or weights only in a sub-folder: fetched, not given to an engine."""
    theirs.add(files)
    assert None is found_path(of_safetensors())


def test_a_shard_of_another_revision_is_not_taken_for_the_missing_one(theirs, hub):
    """Shards of two revisions have the same size; a link's blob has another hash in its name."""
    lost, told = "model-00001-of-00002.safetensors", []
    hub.files = dict(SAFETENSORS)
    os.environ["HF_ENDPOINT"] = hub.url
    theirs.add({lost: SAFETENSORS[lost][:-1] + b"x"}, "b" * 40, main=False)
    theirs.add({name: body for name, body in SAFETENSORS.items() if name != lost})
    folder = fetch_checkpoint(of_safetensors(), on_progress=lambda event: told.append(event.text))
    assert SAFETENSORS[lost] == (folder / lost).read_bytes()
    assert not any("does not have the bytes" in text for text in told)


def test_a_damaged_file_there_that_does_not_fit_here_is_not_downloaded(theirs, hub, gguf, free):
    """Its bytes counted as held until they were checked: then the disk is looked at again."""
    os.environ["HF_ENDPOINT"] = hub.url
    snapshot = theirs.add({NAME: gguf})
    (snapshot / NAME).resolve().write_bytes(b"x" * len(gguf))
    free(len(gguf) // 2)
    with pytest.raises(DoesNotFitError, match="too little"):
        fetch_checkpoint(checkpoint())
    assert [] == hub.asked("/resolve/")


LARGE = SAFETENSORS | {name: vectors(**{f"w{n}": 200_000}) for n, name in enumerate(sorted(PARTS), 1)}


def test_bytes_there_count_although_a_corrupt_file_is_here(theirs, hub, cache, free):
    """One large shard is only linked to: the space is enough for the other, whatever was set aside."""
    hub.files = dict(LARGE)
    os.environ["HF_ENDPOINT"] = hub.url
    theirs.add({name: body for name, body in LARGE.items() if "00001" not in name})
    folder = cache / "models" / "someone--model-GGUF"
    folder.mkdir(parents=True)
    (folder / "config.json.corrupt").write_bytes(b"x")
    free(500_000)
    assert folder == fetch_checkpoint(of_safetensors())


def test_a_file_both_here_and_there_is_subtracted_once(theirs, hub, cache, free):
    """A copy here and a blob there of the same shard do not make room for the other shard."""
    first, second = sorted(PARTS)
    hub.files = dict(LARGE)
    os.environ["HF_ENDPOINT"] = hub.url
    theirs.add({first: LARGE[first]})
    folder = cache / "models" / "someone--model-GGUF"
    folder.mkdir(parents=True)
    (folder / first).write_bytes(LARGE[first])
    free(100_000)
    with pytest.raises(DoesNotFitError, match="too little"):
        fetch_checkpoint(of_safetensors())
    assert not any(second in path for path, _ in hub.asked("/resolve/"))


def test_a_cache_of_ours_without_locks_costs_another_check(theirs, gguf, monkeypatch):
    """What Hugging Face's cache holds is used all the same."""
    snapshot = theirs.add({NAME: gguf})

    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert snapshot / NAME == fetch_checkpoint(checkpoint())
