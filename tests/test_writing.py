"""The one rule for what seatrial writes: new or ours, ordinary files, renamed into their place; and nothing goes round it."""

import ast
import os
import socket
import stat
from pathlib import Path

import pytest
from tests.conftest import ROOT

from seatrial.errors import UsageError
from seatrial.writing import Ours, check_target, open_own, put_in_place, write_text

MARKED = Ours("a marked file", lambda path: path.read_bytes().startswith(b"marked"))


def link(path):
    """Put a link to a file with content there."""
    (path.parent / "behind").write_text("precious")
    path.symlink_to(path.parent / "behind")


def dangling(path):
    """Put a link to nothing there."""
    path.symlink_to(path.parent / "nowhere")


def own_socket(path):
    """Put a socket there."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def device(path):
    """Put a device there: the numbers of /dev/null, in a folder of this test."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root can make a device")


ODD = {"a link": link, "a link to nothing": dangling, "a folder": os.mkdir, "a pipe": os.mkfifo, "a socket": own_socket,
       "a device": device}  # fmt: skip


@pytest.fixture(params=ODD)
def odd(request, tmp_path, monkeypatch):
    """Return a path with something that is no ordinary file, and what it is called."""
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    path = Path("place")
    ODD[request.param](path)
    return path, request.param.removesuffix(" to nothing")


@pytest.mark.parametrize("write", [lambda path: write_text(path, "x"), open_own, check_target])
def test_what_is_no_ordinary_file_is_neither_replaced_nor_written_through(odd, write):
    """It is named for what it is, and is the same afterwards, with what lies behind it; no debris is left."""
    path, kind = odd
    before, beside = path.lstat(), set(Path().iterdir())
    with pytest.raises(UsageError, match=f"place is {kind}, which nothing is written over"):
        write(path)
    assert (before.st_mode, before.st_ino) == (path.lstat().st_mode, path.lstat().st_ino)
    assert beside == set(Path().iterdir())
    assert not Path("behind").exists() or Path("behind").read_text() == "precious"


def test_a_finished_file_does_not_take_such_a_place_either(odd):
    """The file stays under the name it has."""
    path, _ = odd
    Path("finished").write_text("bytes")
    with pytest.raises(UsageError, match="which nothing is written over"):
        put_in_place(Path("finished"), path)
    assert "bytes" == Path("finished").read_text()


@pytest.mark.parametrize("content", [b"mine", b"", b"\xff\xfe", b" marked"])
def test_somebodys_file_stays(tmp_path, content):
    """Only a file with the mark is replaced; the message says what to do."""
    path = tmp_path / "thesis.html"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"is there already, and it is not a marked file\.\nName another"):
        write_text(path, "x", ours=MARKED)
    assert (content, [path]) == (path.read_bytes(), list(tmp_path.iterdir()))


def test_a_file_of_ours_is_replaced_by_another_file(tmp_path):
    """Whoever has the old one open, or under a second name, keeps the old one."""
    path = tmp_path / "page"
    write_text(path, "marked 1", ours=MARKED)
    (tmp_path / "second").hardlink_to(path)
    write_text(path, "marked 2", ours=MARKED)
    assert ["marked 2", "marked 1"] == [path.read_text(), (tmp_path / "second").read_text()]


def test_the_longest_name_a_disk_takes_can_be_written(tmp_path):
    """The file beside it has a short name of its own."""
    path = tmp_path / ("x" * 255)
    write_text(path, "whole")
    assert ("whole", [path]) == (path.read_text(), list(tmp_path.iterdir()))


@pytest.mark.parametrize(
    ("name", "message"),
    [("x" * 300, "cannot be written: File name too long"), ("a\0b", "not a file name"), ("\ud800", "not a file name")],
)
def test_a_name_no_file_can_have_is_one_clear_error(tmp_path, name, message):
    """Too long, with a null, or no text."""
    with pytest.raises(UsageError, match=message):
        write_text(tmp_path / name, "x")


def test_a_file_that_grows_is_emptied_or_continued(tmp_path):
    """Only the person can read it."""
    path = tmp_path / "log"
    for append, text in ((False, b"one"), (True, b"two")):
        with open_own(path, append=append) as file:
            file.write(text)
    assert (b"onetwo", 0o600) == (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
    with open_own(path):
        assert b"" == path.read_bytes()


def test_a_file_with_a_second_name_does_not_grow(tmp_path):
    """A planted second name would carry the bytes into somebody's file."""
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "part").hardlink_to(tmp_path / "precious")
    with pytest.raises(UsageError, match="also another file"):
        open_own(tmp_path / "part")
    assert "precious" == (tmp_path / "precious").read_text()


ROUND_IT = {
    "seatrial/writing.py: mkstemp": "the rule itself",
    "seatrial/writing.py: open": "the rule itself",
    "seatrial/writing.py: replace": "the rule itself",
    "seatrial/cli/main.py: open": "the null device, for the rest of a result that nobody reads",
    "seatrial/cli/streams.py: open": "a standard stream that the caller closed",
    "seatrial/server/supervisor.py: open": "imports the standard library only; its folder is private",
    "seatrial/server/supervisor.py: replace": "the same: its own record and log, in its private folder",
    "seatrial/server/folder.py: touch": "a request to stop, without content, in a private folder",
    "seatrial/server/folder.py: replace": "a damaged record is set aside in its private folder",
    "seatrial/scale/slurm.py: touch": "a request to cancel, without content, in a private folder",
    "seatrial/paths.py: open": "a lock in a private folder, without content",
    "seatrial/server/startup/history.py: open": "a lock in a private folder, without content",
    "seatrial/fetch/wheel.py: open": "the output of pip, in a scratch folder that is new for each fetch",
    "seatrial/fetch/transfer.py: symlink_to": "a new link to a checked file of Hugging Face's cache",
    "seatrial/fetch/tiny.py: mkstemp": "a new file that the gguf package writes, renamed by the rule",
    "seatrial/fetch/verify.py: replace": "a damaged download is set aside",
    "seatrial/launching/model_folder.py: symlink_to": "links are what this folder is for; it is private and new",
    "seatrial/launching/model_folder.py: rename": "a folder, which never replaces one with content",
    "seatrial/launching/tuned.py: replace": "an unreadable memory is set aside in its private folder",
    "seatrial/install/engine.py: rename": "folders of engines, in a private folder",
}
"""Places that write without ``writing``, each with its reason."""

ALWAYS = {"write_text", "write_bytes", "touch", "rename", "renames", "symlink_to", "hardlink_to", "link", "symlink",
          "copy", "copy2", "copyfile", "copytree", "copyfileobj", "move", "mkstemp", "NamedTemporaryFile", "mknod",
          "truncate", "extractall"}  # fmt: skip
OF_MODULES = {"copy", "move", "link", "symlink", "truncate"}


def writes(call):
    """Return the name of a call that puts a file somewhere; None for every other."""
    if isinstance(call.func, ast.Name):
        name, owner = call.func.id, ""
        if name != "open":
            return None  # write_text and the others of the rule are called by their names
    elif isinstance(call.func, ast.Attribute):
        name, owner = call.func.attr, ast.unparse(call.func.value)
    else:
        return None
    words = [ast.unparse(one) for one in (*call.args, *(keyword.value for keyword in call.keywords))]
    if name == "open":
        flags = {"O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND"}
        modes = [one.value for one in ast.walk(call) if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        plain = any(set(mode) <= set("rwxabt+") and set(mode) & set("wxa+") for mode in modes if mode)
        return name if plain or any(flag in word for flag in flags for word in words) else None
    if name == "replace":  # of a path: text takes two, a date and a dataclass take names
        return name if owner == "os" or (len(call.args) == 1 and not call.keywords) else None
    if name in OF_MODULES and owner not in {"os", "shutil"}:
        return None
    return name if name in ALWAYS else None


def places(folder, root):
    """Yield ``file: call`` for each call in a folder that puts a file somewhere."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (name := writes(node)):
                yield f"{path.relative_to(root)}: {name}"


def test_no_place_of_the_library_goes_round_the_rule():
    """A new ``open(..., "w")``, ``write_text`` or ``replace`` belongs into ``writing``, or here with its reason."""
    assert set(ROUND_IT) == set(places(ROOT / "lib" / "seatrial", ROOT / "lib"))


@pytest.mark.parametrize(
    "line",
    ["open(p, 'w')", "p.open('ab')", "p.write_text('x')", "os.replace(a, b)", "a.replace(b)", "shutil.move(a, b)",
     "os.open(p, os.O_WRONLY | os.O_CREAT)", "open(p, mode='x')", "p.open(mode='r+b')", "io.open(p, 'w')"],
)  # fmt: skip
def test_the_walk_sees_a_place_that_writes(line):
    """Each way Python has."""
    assert writes(ast.parse(line).body[0].value)


@pytest.mark.parametrize(
    "line",
    ["open(p)", "p.open('rb')", "text.replace('a', 'b')", "replace(plan, engine=x)", "write_text(p, 'x')", "now.replace(tzinfo=UTC)",
     "hub.open(url, headers)", "values.copy()", "os.open(p, os.O_RDONLY)"],
)  # fmt: skip
def test_the_walk_passes_over_one_that_reads(line):
    """And over what only has the same name."""
    assert writes(ast.parse(line).body[0].value) is None
