"""A cache that others may write to: nothing is written through what they planted there, and nothing of theirs is lost."""

import hashlib
import os
import stat

import pytest
from tests.fetch.test_checkpoint import NAME, cache, checkpoint, gguf, hub

from seatrial.catalog import find_checkpoint
from seatrial.errors import UsageError
from seatrial.fetch.cache import folder_of
from seatrial.fetch.checkpoint import fetch_checkpoint

__all__ = ["cache", "gguf", "hub"]

PRECIOUS = b"precious"


@pytest.fixture
def place(cache):
    """Return the checkpoint's folder, made by somebody else."""
    folder = folder_of(checkpoint())
    folder.mkdir(parents=True)
    assert folder.is_relative_to(cache)
    return folder


@pytest.fixture
def victim(tmp_path):
    """Write a file of somebody's."""
    path = tmp_path / "victim"
    path.write_bytes(PRECIOUS)
    return path


def part_of(content):
    """Return the name of the file's part."""
    return f"{NAME}.{hashlib.sha256(content).hexdigest()[:12]}.part"


def plant_link(path, victim):
    """Plant a symbolic link."""
    path.symlink_to(victim)


def plant_second_name(path, victim):
    """Plant a hard link."""
    os.link(victim, path)


@pytest.mark.parametrize("plant", [plant_link, plant_second_name])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_part_that_is_another_file_keeps_its_bytes(hub, gguf, place, victim, plant, ranges):  # noqa: PLR0913, PLR0917 -- one case
    """A link or a second name in the place of the part: refused with its path, before a byte is asked for."""
    hub.ranges = ranges
    plant(place / part_of(gguf), victim)
    with pytest.raises(UsageError, match=r"\.part is"):
        fetch_checkpoint(checkpoint())
    assert PRECIOUS == victim.read_bytes()


def test_a_part_that_leads_nowhere_makes_no_file(gguf, hub, place, tmp_path):
    """A link to a name that is free would make a file there."""
    (place / part_of(gguf)).symlink_to(tmp_path / "new")
    with pytest.raises(UsageError, match="is a link"):
        fetch_checkpoint(checkpoint())
    assert not (tmp_path / "new").exists()
    assert [] == hub.asked("/resolve/")


@pytest.mark.usefixtures("hub")
def test_a_part_that_is_a_pipe_is_not_waited_for(gguf, place):
    """Opening it would wait for a reader for ever."""
    os.mkfifo(place / part_of(gguf))
    with pytest.raises(UsageError, match="is a pipe"):
        fetch_checkpoint(checkpoint())
    assert stat.S_ISFIFO((place / part_of(gguf)).lstat().st_mode)


@pytest.mark.usefixtures("hub")
def test_a_link_in_the_place_of_the_file_is_set_aside(gguf, place, victim):
    """It has wrong bytes: renamed, not followed."""
    (place / NAME).symlink_to(victim)
    assert gguf == fetch_checkpoint(checkpoint()).read_bytes()
    assert PRECIOUS == victim.read_bytes()
    assert not (place / NAME).is_symlink()


@pytest.mark.parametrize("name", ["seatrial.json", "../someone--model-GGUF--Q4_K_M.lock"])
@pytest.mark.usefixtures("hub")
def test_the_kits_own_files_are_not_written_through_a_link(place, victim, name):
    """The list of files, and the lock beside the folder."""
    (place / name).symlink_to(victim)
    with pytest.raises(UsageError, match="is a link"):
        fetch_checkpoint(checkpoint())
    assert PRECIOUS == victim.read_bytes()


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("above", [0, 1], ids=["the checkpoint's folder", "the models folder"])
def test_a_folder_of_the_cache_that_is_a_link_is_refused(cache, tmp_path, above):
    """Nothing is made behind it; the message says how a cache is moved."""
    folder = folder_of(checkpoint())
    planted = folder if above == 0 else folder.parent
    planted.parent.mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    planted.symlink_to(elsewhere)
    with pytest.raises(UsageError, match=r"is a link.*\n.*SEATRIAL_CACHE"):
        fetch_checkpoint(checkpoint())
    assert [] == list(elsewhere.iterdir())
    assert cache.exists()


def test_a_linked_sub_folder_is_refused(hub, gguf, place, tmp_path):
    """Parts of a split model in a folder of their own."""
    hub.files = {"Q4_K_M/big-Q4_K_M-00001-of-00001.gguf": gguf}
    (tmp_path / "elsewhere").mkdir()
    (place / "Q4_K_M").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="Q4_K_M is a link"):
        fetch_checkpoint(checkpoint())
    assert [] == list((tmp_path / "elsewhere").iterdir())


@pytest.mark.usefixtures("hub")
def test_the_cache_itself_may_be_a_link(cache, gguf, tmp_path):
    """SEATRIAL_CACHE is the person's own choice."""
    (tmp_path / "disk").mkdir()
    cache.symlink_to(tmp_path / "disk")
    assert gguf == fetch_checkpoint(checkpoint()).read_bytes()


def test_a_copy_is_not_written_through_a_link(place, gguf, victim, tmp_path):
    """--source: the part of a copy, too."""
    (tmp_path / "stick").mkdir()
    (tmp_path / "stick" / NAME).write_bytes(gguf)
    (place / f"{NAME}.part").symlink_to(victim)
    with pytest.raises(UsageError, match="is a link"):
        fetch_checkpoint(checkpoint(), source=tmp_path / "stick")
    assert PRECIOUS == victim.read_bytes()


def test_the_tiny_model_is_not_written_through_a_link(victim):
    """It is written under a name that is new."""
    tiny = find_checkpoint("tiny-v4")
    folder = folder_of(tiny)
    folder.mkdir(parents=True)
    (folder / ".tiny-v4.gguf.part").symlink_to(victim)
    assert fetch_checkpoint(tiny).is_file()
    assert PRECIOUS == victim.read_bytes()
