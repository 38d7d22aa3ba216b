"""State of a server is in folders nobody else can read, follow a link into, or swap."""

import os
import stat
from pathlib import Path

import pytest
from tests.security.conftest import leaky_command, tree

from seatrial import paths
from seatrial.errors import UsageError
from seatrial.launching import launch
from seatrial.server import find_server, list_servers
from seatrial.server.folder import STATE_FILES, folder_of, servers_dir

NAMES = {
    "nothing": "",
    "a parent": "..",
    "this folder": ".",
    "a path": "a/b",
    "a parent's child": "../evil",
    "an absolute path": "/tmp/evil",  # noqa: S108
    "hidden": ".hidden",
    "an option": "-rf",
    "a command": "a;id",
    "a substitution": "$(id)",
    "backticks": "`id`",
    "a blank": "a b",
    "a newline": "a\nb",
    "a null": "a\x00b",
    "an escape code": "a\x1b[31m",
    "a direction mark": "a\u202eb",
    "markup": "<script>alert(1)</script>",
    "a template": "{param}",
    "other letters": "größe",
    "too long": "x" * 64,
    "256 kB": "x" * 262_144,
}


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("command", ["serve", "stop", "logs"])
def test_a_name_that_could_lead_elsewhere_is_refused(refused, command, kind):
    """A server's name is the name of its folder, so it has only letters, digits, dots and dashes."""
    words = (
        ["serve", "--engine=simulated", f"--name={NAMES[kind]}"] if command == "serve" else [command, "--", NAMES[kind]]
    )
    refused(*words, codes=(2,))


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_everything_kept_is_private_whatever_the_umask(umask):
    """Folders 0700 and files 0600, during the run and after it."""
    before = os.umask(umask)
    try:
        with launch(leaky_command(), name="private"):
            during = tree(servers_dir())
        after = tree(servers_dir())
    finally:
        os.umask(before)
    for found in (during, after):
        assert found
        for path, (mode, _) in found.items():
            wanted = 0o700 if stat.S_ISDIR(mode) else 0o600
            assert oct(wanted) == oct(stat.S_IMODE(mode)), path


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o750, 0o701])
def test_a_servers_folder_others_can_read_is_closed(mode):
    """One that an older version or somebody's chmod left open."""
    servers_dir().mkdir(parents=True)
    servers_dir().chmod(mode)
    (servers_dir() / "open").mkdir()
    (servers_dir() / "open").chmod(mode)
    with launch(leaky_command(), name="open"):
        assert [0o700, 0o700] == [stat.S_IMODE(one.stat().st_mode) for one in (servers_dir(), servers_dir() / "open")]


def test_missing_folders_above_are_made_private(tmp_path, monkeypatch):
    """From the first one that is missing on."""
    monkeypatch.setenv("SEATRIAL_STATE", str(tmp_path / "a" / "b"))
    paths.private_dir(servers_dir())
    made = [tmp_path / "a", tmp_path / "a" / "b", servers_dir()]
    assert [0o700] * 3 == [stat.S_IMODE(folder.stat().st_mode) for folder in made]


def test_a_linked_servers_folder_is_refused(not_launched, tmp_path):
    """Whoever made the link would choose where keys are written."""
    servers_dir().parent.mkdir(parents=True, exist_ok=True)
    servers_dir().symlink_to(tmp_path / "beside")
    not_launched(says="is a link")


def test_a_linked_server_folder_is_refused(places):
    """Nothing is written behind it, and the files there stay."""
    beside = places[0] / "beside"
    (beside / "record.json").write_text("mine")
    servers_dir().mkdir(parents=True, mode=0o700)
    (servers_dir() / "linked").symlink_to(beside)
    with pytest.raises(UsageError, match="is a link"):
        launch(leaky_command(), name="linked")
    assert ["record.json"] == [path.name for path in beside.iterdir()]
    assert "mine" == (beside / "record.json").read_text()


def test_links_in_a_server_folder_are_replaced_and_not_followed(places):
    """A key file, log or record that is a link into another folder."""
    target = places[0] / "beside" / "target"
    target.write_text("mine")
    folder = folder_of("links").path
    folder.mkdir(parents=True, mode=0o700)
    for name in ("key", "record.json", "engine.log", "engine.log.1", "process.json", "ready.json", "supervisor.log"):
        (folder / name).symlink_to(target)
    with launch(leaky_command(), name="links"):
        assert not [name for name in STATE_FILES if (folder / name).is_symlink()]
    assert "mine" == target.read_text()


def test_a_state_folder_everybody_may_swap_is_refused(tmp_path, monkeypatch):
    """In a folder without the sticky bit anybody renames ours and puts another in its place."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    monkeypatch.setenv("SEATRIAL_STATE", str(shared / "state"))
    with pytest.raises(UsageError, match="Everybody may write"):
        launch(leaky_command(), name="swapped")
    shared.chmod(0o1777)
    with launch(leaky_command(), name="sticky") as server:
        assert server.alive()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"name": "x"}', "\x00" * 64, '{"port": "80"}', "[" * 10_000])
def test_a_record_that_makes_no_sense_starts_and_signals_nothing(text):
    """It is set aside with a warning; no pid or command out of it is used."""
    folder = folder_of("odd").path
    folder.mkdir(parents=True, mode=0o700)
    (folder / "record.json").write_text(text)
    assert [] == list_servers(ended=True)


def test_a_record_moved_into_another_folder_is_not_taken():
    """Its name must be the folder's, so that a copy cannot lead to another server's key."""
    with launch(leaky_command(), name="first"):
        record = (folder_of("first").path / "record.json").read_text()
        other = folder_of("second").path
        other.mkdir(mode=0o700)
        (other / "record.json").write_text(record)
        assert ["first"] == [server.name for server in list_servers(ended=True)]


def test_a_key_is_gone_with_its_server():
    """Nothing of the folder holds it afterwards, the log included."""
    with launch(leaky_command(), name="gone") as server:
        key = server.api_key()
    with pytest.raises(UsageError, match="its key with it"):
        find_server("gone").api_key()
    for path in Path(folder_of("gone").path).iterdir():
        assert key not in path.read_text(errors="replace"), path
