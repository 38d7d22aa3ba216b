"""Results as JSON: round trips, complete files, origins."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seatrial.errors import UsageError
from seatrial.hardware.types import Gpu, Hardware, Host, Problem
from seatrial.records import from_dict, read_json, record, to_dict, write_json
from seatrial.writing import write_text

MACHINE = Hardware(
    name="h100x1",
    gpus=(Gpu("NVIDIA H100", "nvidia", memory_bytes=85_520_809_984),),
    host=Host(cores=2),
    driver="580.95",
    cuda="13.0",
    origin="measured",
    source="NVML",
    problems=(Problem("power unknown", "none needed"),),
)


def test_a_dataclass_comes_back_equal_through_json():
    """What is written to a file is what was computed."""
    assert from_dict(Hardware, json.loads(json.dumps(to_dict(MACHINE)))) == MACHINE


@pytest.mark.parametrize("change", [{"origin": "guessed"}, {"gpus": "many"}, {"name": None}])
def test_a_record_with_a_wrong_field_is_refused(change):
    """An edited or foreign file is named as such, with the field."""
    with pytest.raises(UsageError, match="not a Hardware record"):
        from_dict(Hardware, to_dict(MACHINE) | change)


def test_writing_replaces_the_file_whole(tmp_path):
    """Nobody ever reads half a record."""
    path = tmp_path / "deep" / "record.json"
    write_json(path, {"a": 1})
    write_json(path, MACHINE)
    assert "h100x1" == read_json(path)["name"]
    assert [path] == list(path.parent.iterdir())


def test_a_failed_write_keeps_the_old_file(tmp_path):
    """Text that cannot be encoded leaves the old state intact and no debris."""
    path = tmp_path / "record.json"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\ud800")
    assert ("old", [path]) == (path.read_text(), list(tmp_path.iterdir()))


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    """A file in the place of a folder is an error, not a traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write_text(tmp_path / "file" / "record.json", "x")


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "cannot be read"), ("{", "is not JSON"), ("[" * 100_000, "nested too deeply")],
)
def test_reading_names_what_is_wrong(tmp_path, text, message):
    """A missing, a damaged and an endlessly nested file have different errors."""
    path = tmp_path / "record.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_json(path)


def test_a_byte_order_mark_is_no_content(tmp_path):
    """Editors of Windows write one."""
    path = tmp_path / "config.json"
    path.write_text('{"hidden_size": 4096}', encoding="utf-8-sig")
    assert {"hidden_size": 4096} == read_json(path)


def test_other_encodings_are_named(tmp_path):
    """UTF-16 is no JSON file."""
    path = tmp_path / "config.json"
    path.write_text("{}", encoding="utf-16")
    with pytest.raises(UsageError, match="is not UTF-8 text"):
        read_json(path)


def test_a_number_of_thousands_of_digits_is_one_clear_error(tmp_path):
    """Python's own words name a function nobody called. No sum with a fraction would come out of so many digits."""
    path = tmp_path / "config.json"
    path.write_text(f'{{"hidden_size": {"9" * 5000}}}')
    with pytest.raises(UsageError, match="a number of 5,000 digits, out of range") as caught:
        read_json(path)
    assert "set_int_max_str_digits" not in str(caught.value)


def test_a_file_without_end_is_read_no_further():
    """A device that never ends does not fill the memory."""
    with pytest.raises(UsageError, match="more than 1,000 bytes"):
        read_json(Path("/dev/zero"), 1000)


def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path):
    """It is refused at once."""
    path = tmp_path / "record.json"
    os.mkfifo(path)
    with pytest.raises(UsageError, match="is a pipe, not a file"):
        read_json(path)


def test_recording_outside_a_notebook_does_nothing(capsys):
    """The same call is harmless in a script."""
    record("machine", MACHINE)
    assert "" == capsys.readouterr().out


def test_threads_may_read_records_of_a_new_type_at_once():
    """One interpreter for many rounds: msgspec alone crashes it, as two servers that ps asks at once have shown."""
    code = """
import dataclasses, threading
from seatrial.records import from_dict
for number in range(300):
    inner = dataclasses.make_dataclass(f"Inner{number}", [("a", "int"), ("b", "str | None", None)])
    kind = dataclasses.make_dataclass(f"Kind{number}", [("x", inner), ("y", "float", 0.0)])
    start = threading.Barrier(8)
    def read():
        start.wait()
        assert from_dict(kind, {"x": {"a": number}}).x.a == number
    threads = [threading.Thread(target=read) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)
