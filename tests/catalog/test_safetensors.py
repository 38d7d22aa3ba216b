"""Safetensors headers and indexes: exact bytes from right ones, one typed error from wrong ones."""

import json
import struct

import pytest
from tests.safetensors_bytes import content, entry

from seatrial.catalog.safetensors import INDEX, read_folder, read_header
from seatrial.errors import ModelFileError, UsageError

RIGHT = {"a": entry("BF16", [2, 3], 0, 12), "b": entry("F8_E4M3", [4], 12, 16), "__metadata__": {"format": "pt"}}


def written(folder, raw, name="model.safetensors"):
    """Write ``raw`` to a file in ``folder``."""
    path = folder / name
    path.write_bytes(raw)
    return path


def test_a_right_file_is_read(tmp_path):
    """Every tensor with its bytes and type."""
    header = read_header(written(tmp_path, content(RIGHT, 16)))
    assert {"a": 12, "b": 4} == header.tensors
    assert {"a": "BF16", "b": "F8_E4M3"} == header.kinds


WRONG = {
    "empty": b"",
    "five bytes": b"12345",
    "web page": b"<html><body>404</body></html>",
    "lfs pointer": b"version https://git-lfs.github.com/spec/v1\n",
    "header beyond the file": content(RIGHT, 16, length=1 << 40),
    "header of 2**64 - 1 bytes": content(RIGHT, 16, length=(1 << 64) - 1),
    "no JSON": content(b"not json at all", 0),
    "a list": content([1, 2], 0),
    "nested without end": content(b"[" * 100_000, 0),
    "no offsets": content({"a": {"dtype": "F32", "shape": [1]}}, 4),
    "offsets as text": content({"a": {"dtype": "F32", "shape": [1], "data_offsets": ["0", "4"]}}, 4),
    "unknown type": content({"a": entry("F3", [8], 0, 3)}, 3),
    "overlap": content({"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 4, 12)}, 12),
    "hole": content({"a": entry("F32", [1], 0, 4), "b": entry("F32", [1], 8, 12)}, 12),
    "backwards": content({"a": entry("F32", [1], 4, 0)}, 4),
    "negative": content({"a": entry("F32", [1], -4, 0)}, 4),
    "negative shape": content({"a": entry("F32", [-1], 0, 4)}, 4),
    "wrong size": content({"a": entry("F32", [3], 0, 4)}, 4),
    "overflowing shape": content({"a": entry("F32", [1 << 62, 1 << 62], 0, 4)}, 4),
    "cut data": content(RIGHT, 15),
    "something behind": content(RIGHT, 17),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_file_is_one_typed_error(tmp_path, kind):
    """Each kind of wrong file raises ModelFileError and says what to do."""
    with pytest.raises(ModelFileError) as caught:
        read_header(written(tmp_path, WRONG[kind]))
    assert caught.value.remedy


def test_a_header_of_100_mb_is_refused_unread(tmp_path):
    """The reader checks the header's length before it reads the header."""
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 100_000_000))
        file.truncate(100_000_100)
    with pytest.raises(ModelFileError, match="100,000,000"):
        read_header(path)


def indexed(folder, names, total=32):
    """Write an index over files called ``names``."""
    weight_map = {f"t{number}": name for number, name in enumerate(names, start=1)}
    document = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / INDEX).write_text(json.dumps(document))


def test_an_indexed_model_is_the_sum_of_its_parts(tmp_path):
    """Bytes come from the headers, not from what the index claims."""
    for number in (1, 2):
        written(tmp_path, content({f"t{number}": entry("F32", [4], 0, 16)}, 16), f"m{number}.safetensors")
    indexed(tmp_path, ["m1.safetensors", "m2.safetensors"], total=999)
    tensors, claimed, paths = read_folder(tmp_path)
    assert {"t1": 16, "t2": 16} == tensors
    assert 999 == claimed
    assert ["m1.safetensors", "m2.safetensors"] == [path.name for path in paths]


def test_an_index_alone_gives_its_total(tmp_path):
    """If only the index was fetched, its total is the only size."""
    indexed(tmp_path, ["m1.safetensors"], total=159_609_485_896)
    assert ({}, 159_609_485_896, ()) == read_folder(tmp_path)


def test_a_missing_part_is_named(tmp_path):
    """The message counts and names what is missing."""
    written(tmp_path, content(RIGHT, 16), "m1.safetensors")
    indexed(tmp_path, ["m1.safetensors", "m2.safetensors"])
    with pytest.raises(ModelFileError, match=r"1 of 2 parts .* m2\.safetensors"):
        read_folder(tmp_path)


@pytest.mark.parametrize("name", ["../m.safetensors", "/etc/passwd", "a/b.safetensors", "model.bin", ""])
def test_an_index_cannot_point_outside_its_folder(tmp_path, name):
    """Neither another folder nor another kind of file is opened."""
    indexed(tmp_path, [name])
    with pytest.raises(ModelFileError, match="not a safetensors file in its folder"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": "m.safetensors"}, "metadata": {"total_size": -1}}']
)
def test_a_malformed_index_is_one_typed_error(tmp_path, text):
    """An index without a map, or with an impossible total, is refused."""
    (tmp_path / INDEX).write_text(text)
    with pytest.raises(ModelFileError):
        read_folder(tmp_path)


def test_a_tensor_in_two_parts_is_refused(tmp_path):
    """Counting it twice would be wrong."""
    for number in (1, 2):
        written(tmp_path, content(RIGHT, 16), f"m{number}.safetensors")
    with pytest.raises(ModelFileError, match="another part has too"):
        read_folder(tmp_path)


def test_a_missing_file_is_bad_usage(tmp_path):
    """No file, no traceback."""
    with pytest.raises(UsageError):
        read_header(tmp_path / "none.safetensors")


def test_an_index_that_lists_more_than_the_parts_hold_is_refused(tmp_path):
    """A tensor that no part holds is missing from the model."""
    written(tmp_path, content({"t2": entry("F32", [4], 0, 16)}, 16), "m1.safetensors")
    indexed(tmp_path, ["m1.safetensors"])
    with pytest.raises(ModelFileError, match="'t1', which no part holds"):
        read_folder(tmp_path)


def test_a_missing_part_is_noticed_without_an_index(tmp_path):
    """The names of the others say how many there are."""
    for number in (1, 3):
        name = f"model-{number:05d}-of-00003.safetensors"
        written(tmp_path, content({f"t{number}": entry("F32", [4], 0, 16)}, 16), name)
    with pytest.raises(ModelFileError, match=r"1 of 3 parts .* model-00002-of-00003"):
        read_folder(tmp_path)


@pytest.mark.parametrize("header", [{}, {"__metadata__": {"format": "pt"}}])
def test_files_without_tensors_are_no_model(tmp_path, header):
    """They are an error, not a model of 0 bytes."""
    written(tmp_path, content(header, 0), "m.safetensors")
    with pytest.raises(ModelFileError, match="holds no tensors"):
        read_folder(tmp_path)


@pytest.mark.parametrize("length", [0x3C, 0x3C20])
def test_a_header_may_be_as_long_as_a_web_page_begins(tmp_path, length):
    """The first byte of a right file's length can be "<"."""
    path = written(tmp_path, content(json.dumps(RIGHT).encode().ljust(length), 16))
    assert 16 == sum(read_header(path).tensors.values())


def test_a_tensor_named_twice_in_one_header_is_refused(tmp_path):
    """A decoder would keep the last one without a word."""
    raw = json.dumps({"a": entry("F32", [4], 0, 16)})
    path = written(tmp_path, content(f"{raw[:-1]},{raw[1:]}".encode(), 16))
    with pytest.raises(ModelFileError, match="twice"):
        read_header(path)


@pytest.mark.parametrize("shape", [[2**60] * 50_000, [2**62] * 3, [-1], [2**64]])
def test_an_impossible_shape_is_refused_at_once(tmp_path, shape):
    """Its product is never computed: 50,000 dimensions took eight seconds, and the number could not be shown."""
    path = written(tmp_path, content({"a": entry("F32", shape, 0, 16)}, 16), "m.safetensors")
    with pytest.raises(ModelFileError, match="impossible"):
        read_header(path)


@pytest.mark.parametrize("total", [10**40, 2**70, 12.0, True, "12"])
def test_an_absurd_total_is_refused(tmp_path, total):
    """If there is only an index, its total is the size."""
    indexed(tmp_path, ["m1.safetensors"], total=total)
    with pytest.raises(ModelFileError, match="total_size"):
        read_folder(tmp_path)
