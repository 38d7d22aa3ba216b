"""GGUF headers: right ones are read, every kind of wrong one is one typed error."""

import os
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gguf_bytes import ARRAY, BOOL, FLOAT32, STRING, UINT16, UINT32, gguf, numbers, pair, small, tensor, text

from seatrial.catalog.gguf import TensorInfo, read_header
from seatrial.catalog.gguf_parts import read_parts
from seatrial.errors import ModelFileError, UsageError


def written(folder, content, name="model.gguf"):
    """Write ``content`` to a file in ``folder``."""
    path = folder / name
    path.write_bytes(content)
    return path


def tensor_bytes(header):
    """Add up the bytes of all tensors of one file."""
    return sum(tensor.size_bytes for tensor in header.tensors)


def test_a_small_file_is_read_whole(tmp_path):
    """Metadata, tensors, sizes and where the data begins come out as they were written."""
    header = read_header(written(tmp_path, small()))
    assert "llama" == header.architecture
    assert {"general.architecture": "llama", "a.list": (1, 2, 3)} == header.metadata
    assert (TensorInfo("w", (4, 2), "F32", 0, 32), TensorInfo("q", (32,), "Q8_0", 32, 34)) == header.tensors
    assert 66 == tensor_bytes(header)
    assert header.file_bytes - 66 == header.data_offset


def test_values_of_every_type_are_read(tmp_path):
    """Booleans, floats, numbers and texts keep their values; arrays of texts only their length."""
    texts = text("names") + struct.pack("<IIQ", ARRAY, STRING, 2) + text("a") + text("b")
    pairs = [pair("b", BOOL, value=True), pair("f", FLOAT32, 0.5), pair("n", UINT32, 7), pair("s", STRING, "é"), texts]
    header = read_header(written(tmp_path, gguf(pairs)))
    assert {"b": True, "f": 0.5, "n": 7, "s": "é"} == header.metadata
    assert {"names": 2} == header.array_lengths


WRONG = {
    "empty": b"",
    "three bytes": b"GGU",
    "web page": b"<!DOCTYPE html><html><body>Not found</body></html>",
    "lfs pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 98362432\n",
    "pickle": b"\x80\x04K\x01." * 30,
    "zip": b"PK\3\4" + b"\0" * 60,
    "version 1": gguf(version=1),
    "version 99": gguf(version=99),
    "big-endian": b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
    "cut counts": small()[:14],
    "cut metadata": small()[:60],
    "cut tensor directory": small()[:130],
    "cut tensor data": small()[:-1],
    "absurd tensor count": gguf(tensor_count=1 << 60),
    "absurd metadata count": gguf(pair_count=(1 << 64) - 1),
    "absurd key length": gguf([struct.pack("<Q", 1 << 62) + b"key"], pair_count=1),
    "absurd text length": gguf([text("k") + struct.pack("<IQ", STRING, 1 << 50)], pair_count=1),
    "absurd array length": gguf([text("k") + struct.pack("<IIQ", ARRAY, UINT32, 1 << 61)], pair_count=1),
    "absurd list of texts": gguf([text("k") + struct.pack("<IIQ", ARRAY, STRING, 1 << 61)], pair_count=1),
    "array of arrays": gguf([text("k") + struct.pack("<IIQ", ARRAY, ARRAY, 1)], data=b"\0" * 64),
    "unknown metadata type": gguf([text("k") + struct.pack("<I", 77)], data=b"\0" * 64),
    "key twice": gguf([pair("k", UINT32, 1), pair("k", UINT32, 2)]),
    "key without a name": gguf([pair("", UINT32, 1)]),
    "alignment zero": gguf([pair("general.alignment", UINT32, 0)]),
    "alignment three": gguf([pair("general.alignment", UINT32, 3)]),
    "alignment as text": gguf([pair("general.alignment", STRING, "32")]),
    "alignment of 2 GiB": gguf([pair("general.alignment", UINT32, 1 << 31)]),
    "no dimensions": gguf([], [tensor("w", (), 0, 0)], b"\0" * 64),
    "five dimensions": gguf([], [tensor("w", (1, 1, 1, 1, 1), 0, 0)], b"\0" * 64),
    "dimension zero": gguf([], [tensor("w", (0,), 0, 0)], b"\0" * 64),
    "dimensions that overflow": gguf([], [tensor("w", (1 << 40, 1 << 40), 0, 0)], b"\0" * 64),
    "row that is no whole block": gguf([], [tensor("w", (33,), 8, 0)], b"\0" * 64),
    "unknown tensor type": gguf([], [tensor("w", (32,), 250, 0)], b"\0" * 64),
    "tensor without a name": gguf([], [tensor("", (4,), 0, 0)], b"\0" * 64),
    "tensor twice": gguf([], [tensor("w", (4,), 0, 0), tensor("w", (4,), 0, 32)], b"\0" * 64),
    "offset beyond the file": gguf([], [tensor("w", (4,), 0, 1 << 40)], b"\0" * 64),
    "offset not aligned": gguf([], [tensor("w", (4,), 0, 5)], b"\0" * 64),
    "tensors that overlap": gguf([], [tensor("a", (16,), 0, 0), tensor("b", (4,), 0, 32)], b"\0" * 64),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_file_is_one_typed_error(tmp_path, kind):
    """Each kind of wrong file raises ModelFileError, names the file and says what to do."""
    path = written(tmp_path, WRONG[kind])
    with pytest.raises(ModelFileError) as caught:
        read_header(path)
    assert str(path) in caught.value.what
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("empty", "empty"),
        ("web page", "web page"),
        ("lfs pointer", "LFS"),
        ("cut tensor data", "cut"),
        ("big-endian", "big-endian"),
    ],
)
def test_the_message_says_which_fault_it_is(tmp_path, kind, word):
    """The message tells a person what the file is instead of a model."""
    with pytest.raises(ModelFileError, match=word):
        read_header(written(tmp_path, WRONG[kind]))


@settings(max_examples=150, deadline=None)
@given(cut=st.integers(0, len(small()) - 1))
def test_a_file_cut_anywhere_is_noticed(tmp_path_factory, cut):
    """A cut file is an error at every length."""
    path = written(tmp_path_factory.mktemp("cut"), small()[:cut])
    with pytest.raises(ModelFileError):
        read_header(path)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(small()) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_flipped_bytes_never_raise_anything_else(tmp_path_factory, flips):
    """Whatever bytes are changed, the file is read or refused with the typed error."""
    content = bytearray(small())
    for place, value in flips:
        content[place] = value
    path = written(tmp_path_factory.mktemp("flip"), bytes(content))
    try:
        header = read_header(path)
    except ModelFileError:
        return
    assert header.data_offset + tensor_bytes(header) <= header.file_bytes


def test_a_list_without_end_is_refused_at_once(tmp_path):
    """The reader does not walk through a sparse file text by text."""
    path = written(tmp_path, gguf([text("tokenizer.ggml.tokens") + struct.pack("<IIQ", ARRAY, STRING, 1 << 23)]))
    with path.open("ab") as file:
        file.truncate(80 << 20)
    with pytest.raises(ModelFileError, match=r"8,388,608 texts in .*; at most 4,194,304"):
        read_header(path)


def test_a_pipe_is_not_waited_for(tmp_path):
    """The reader opens only files."""
    os.mkfifo(tmp_path / "model.gguf")
    with pytest.raises(UsageError, match="is not a file"):
        read_header(tmp_path / "model.gguf")


def test_a_missing_file_is_bad_usage(tmp_path):
    """No file, no traceback."""
    with pytest.raises(UsageError, match="cannot be read"):
        read_header(tmp_path / "none.gguf")


def parts(folder, count=3, *, without=()):
    """Write a model split into ``count`` parts of one tensor each."""
    paths = []
    for number in range(count):
        pairs = [pair("split.no", UINT16, number), pair("split.count", UINT16, count)]
        name = f"m-{number + 1:05d}-of-{count:05d}.gguf"
        if number + 1 not in without:
            paths.append(written(folder, gguf(pairs, [tensor(f"w{number}", (8,), 0, 0)], b"\0" * 32), name))
    return paths


def test_all_parts_of_a_split_model_are_read(tmp_path):
    """The parts come in order, whichever of them is named."""
    paths = parts(tmp_path)
    assert paths == [header.path for header in read_parts(paths[1])]
    assert 96 == sum(map(tensor_bytes, read_parts(paths[0])))


def test_a_missing_part_is_named(tmp_path):
    """The message counts and names what is missing."""
    first = parts(tmp_path, without=(2,))[0]
    with pytest.raises(ModelFileError, match=r"1 of 3 parts .* m-00002-of-00003\.gguf"):
        read_parts(first)


def test_a_part_under_another_name_is_refused(tmp_path):
    """The name of a part must say which one it is."""
    first = parts(tmp_path)[0]
    with pytest.raises(ModelFileError, match="name does not end"):
        read_parts(first.rename(tmp_path / "model.gguf"))


def test_swapped_parts_are_refused(tmp_path):
    """A part with another part's name is wrong."""
    first, second, third = parts(tmp_path)
    third.write_bytes(second.read_bytes())
    with pytest.raises(ModelFileError, match="not part 3 of 3"):
        read_parts(first)


def test_a_tensor_in_two_parts_is_refused(tmp_path):
    """Counting it twice would be wrong."""
    first, _, third = parts(tmp_path)
    third.write_bytes(third.read_bytes().replace(b"w2", b"w0"))
    with pytest.raises(ModelFileError, match="hold the tensor 'w0'"):
        read_parts(first)


def test_a_part_that_knows_of_no_others_is_refused(tmp_path):
    """By its name it is one of three, so it is not the complete model."""
    path = written(tmp_path, gguf([], [tensor("w", (8,), 0, 0)], b"\0" * 32), "m-00001-of-00003.gguf")
    with pytest.raises(ModelFileError, match="one of 3 parts"):
        read_parts(path)


def test_numbers_of_an_array_are_kept(tmp_path):
    """compress_ratios and the like can be read back."""
    header = read_header(written(tmp_path, gguf([numbers("r", [0, 0, 4, 128])])))
    assert (0, 0, 4, 128) == header.metadata["r"]
