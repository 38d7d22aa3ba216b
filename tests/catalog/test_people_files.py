"""GGUF files as people have them: links of a hub's cache, second parts, companions, joined files, other builds' types."""

import hashlib

import pytest
from tests.gguf_bytes import STRING, UINT16, UINT32, gguf, pair, tensor

from seatrial.catalog import find_checkpoint, model_of
from seatrial.errors import ModelFileError, RefusedError, UsageError

SHAPE = {
    "embedding_length": 64,
    "block_count": 1,
    "attention.head_count": 4,
    "attention.head_count_kv": 4,
    "feed_forward_length": 128,
    "context_length": 2048,
    "vocab_size": 16,
}
ARCHITECTURE = pair("general.architecture", STRING, "llama")
MODEL = [ARCHITECTURE, *(pair(f"llama.{key}", UINT32, value) for key, value in SHAPE.items())]


def one_tensor(name="w", kind=0):
    """Return the tensors and data of a file with one tensor of 256 values, in F32 by default."""
    return [tensor(name, (256,), kind, 0)], b"\0" * 1024


def part(number, count=2, stem="tiny-Q8_0"):
    """Return name and bytes of one part of a model."""
    split = [pair("split.no", UINT16, number - 1), pair("split.count", UINT16, count)]
    return f"{stem}-{number:05d}-of-{count:05d}.gguf", gguf(
        [*(MODEL if number == 1 else []), *split], *one_tensor(f"w{number}")
    )


@pytest.fixture
def plain(tmp_path):
    """Make a folder with a model in two parts."""
    folder = tmp_path / "plain"
    folder.mkdir()
    for number in (1, 2):
        name, data = part(number)
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def hub(tmp_path):
    """Make a hub's cache with the same model: a snapshot with links into blobs."""
    repository = tmp_path / "hub" / "models--someone--tiny-GGUF"
    snapshot = repository / "snapshots" / "0123abc" / "Q8_0"
    (repository / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for number in (1, 2):
        name, data = part(number)
        blob = repository / "blobs" / hashlib.sha256(data).hexdigest()
        blob.write_bytes(data)
        (snapshot / name).symlink_to(f"../../../blobs/{blob.name}")
    return repository


FIRST = "tiny-Q8_0-00001-of-00002.gguf"
SECOND = "tiny-Q8_0-00002-of-00002.gguf"


@pytest.mark.parametrize("name", ["", FIRST, SECOND])
def test_any_part_means_the_model_and_the_engine_gets_the_first(plain, name):
    """Llama.cpp loads a split model from its first part."""
    checkpoint = find_checkpoint(str(plain / name))
    assert (str(plain / FIRST), 2048) == (checkpoint.id, checkpoint.weights_bytes)
    assert [FIRST, SECOND] == [file.name for file in checkpoint.files]


@pytest.mark.parametrize(
    "below", ["", "snapshots/0123abc", "snapshots/0123abc/Q8_0", f"snapshots/0123abc/Q8_0/{SECOND}"]
)
def test_a_hub_cache_is_read_by_its_names(hub, below):
    """Links keep their names: the engine finds the other parts by them, and no model is called by a hash."""
    checkpoint = find_checkpoint(str(hub / below))
    assert str(hub / "snapshots/0123abc/Q8_0" / FIRST) == checkpoint.id
    assert FIRST == model_of(checkpoint).name


def test_a_blob_has_the_name_of_its_snapshot(hub):
    """Somebody who gives the file behind the link means the model."""
    blob = (hub / "snapshots/0123abc/Q8_0" / SECOND).resolve()
    assert str(hub / "snapshots/0123abc/Q8_0" / FIRST) == find_checkpoint(str(blob)).id


def test_the_snapshot_of_main_is_the_one_meant(hub):
    """Of several snapshots refs/main names one; without it the paths are listed."""
    (hub / "snapshots" / "ffff").mkdir()
    with pytest.raises(UsageError, match=r"2 snapshots .*(\n.*)*0123abc"):
        find_checkpoint(str(hub))
    (hub / "refs").mkdir()
    (hub / "refs" / "main").write_text("0123abc\n")
    assert FIRST == model_of(find_checkpoint(str(hub))).name


def test_a_link_with_a_name_of_its_own_leads_to_the_parts(plain, tmp_path):
    """A short link to the first part is followed until a name fits."""
    (tmp_path / "model.gguf").symlink_to(plain / FIRST)
    assert str(plain / FIRST) == find_checkpoint(str(tmp_path / "model.gguf")).id


def test_a_missing_first_part_is_named(plain):
    """The second one, or the folder, is enough to say so."""
    (plain / FIRST).unlink()
    for path in (plain, plain / SECOND):
        with pytest.raises(ModelFileError, match=f"1 of 2 parts are missing .*{FIRST}"):
            find_checkpoint(str(path))


COMPANIONS = {
    "dspark-Q8_0.gguf": [pair("general.architecture", STRING, "dflash")],
    "mmproj-F16.gguf": [pair("general.architecture", STRING, "clip")],
    "imatrix.gguf": [pair("general.type", STRING, "imatrix")],
    "old-imatrix.gguf": [pair("general.architecture", STRING, "imatrix")],
    "lora.gguf": [ARCHITECTURE, pair("general.type", STRING, "adapter")],
    "vocab.gguf": [ARCHITECTURE, pair("general.type", STRING, "vocab")],
    "eagle.gguf": [pair("general.architecture", STRING, "eagle3")],
}


def test_a_folder_means_its_one_model(plain):
    """Its draft, projector, calibration file, adapter and vocabulary are no models."""
    for name, pairs in COMPANIONS.items():
        (plain / name).write_bytes(gguf(pairs, *one_tensor()))
    assert str(plain / FIRST) == find_checkpoint(str(plain)).id


@pytest.mark.parametrize("name", COMPANIONS)
def test_a_companion_is_called_what_it_is(tmp_path, name):
    """It belongs to another file; the message does not ask to fetch anything again."""
    (tmp_path / name).write_bytes(gguf(COMPANIONS[name], *one_tensor()))
    with pytest.raises(RefusedError, match="of another file") as caught:
        find_checkpoint(str(tmp_path / name))
    assert "again" not in str(caught.value)


def test_two_models_in_a_folder_are_listed_without_the_companions(plain):
    """The question names only what may be the answer."""
    (plain / "other.gguf").write_bytes(gguf(MODEL, *one_tensor()))
    (plain / "imatrix.gguf").write_bytes(gguf(COMPANIONS["imatrix.gguf"], *one_tensor()))
    with pytest.raises(UsageError, match="holds 2 models") as caught:
        find_checkpoint(str(plain))
    assert ("other.gguf" in caught.value.remedy, "imatrix" in caught.value.remedy) == (True, False)


def test_quantizations_in_folders_of_their_own_are_listed(tmp_path):
    """As repositories of large models keep them."""
    for folder in ("Q4_K", "Q8_0"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "m.gguf").write_bytes(gguf(MODEL, *one_tensor()))
    with pytest.raises(UsageError, match=r"2 models.*(\n.*)*Q4_K/m.gguf, Q8_0/m.gguf"):
        find_checkpoint(str(tmp_path))


@pytest.mark.parametrize("name", ["joined.gguf", FIRST])
def test_files_joined_end_to_end_are_refused(tmp_path, name):
    """An engine reads only the first of them; the remedy is not to download them again."""
    (tmp_path / name).write_bytes(part(1)[1] + part(2)[1])
    with pytest.raises(ModelFileError, match="joined end to end") as caught:
        find_checkpoint(str(tmp_path / name))
    assert ("llama-gguf-split --merge" in caught.value.remedy, "again" in caught.value.remedy) == (True, False)


@pytest.mark.parametrize("name", ["merged.gguf", "m-00001-of-00003.gguf"])
def test_a_merged_model_is_whole(tmp_path, name):
    """The merge tool writes a split.count of 0; the first part's name may still stand on the file."""
    (tmp_path / name).write_bytes(gguf([*MODEL, pair("split.count", UINT16, 0)], *one_tensor()))
    assert 1024 == find_checkpoint(str(tmp_path / name)).weights_bytes


def test_a_merge_that_lost_tensors_is_named(tmp_path):
    """The file says how many tensors all parts had."""
    pairs = [*MODEL, pair("split.count", UINT16, 0), pair("split.tensors.count", UINT32, 3)]
    (tmp_path / "m.gguf").write_bytes(gguf(pairs, *one_tensor()))
    with pytest.raises(ModelFileError, match="1 of 3 tensors"):
        find_checkpoint(str(tmp_path / "m.gguf"))


@pytest.mark.parametrize("name", ["m.gguf.part1of2", "m.gguf-split-a", "m.gguf.001"])
def test_a_piece_of_a_file_says_how_to_join_it(tmp_path, name):
    """Uploaders cut files by bytes; cat puts them together."""
    (tmp_path / name).write_bytes(gguf(MODEL, *one_tensor())[:200])
    with pytest.raises(ModelFileError, match="one piece") as caught:
        find_checkpoint(str(tmp_path / name))
    assert "m.gguf; then" in caught.value.remedy


@pytest.mark.parametrize(
    ("kind", "label", "build"),
    [
        (139, "IQ4_K", "ik_llama.cpp"),
        (144, "IQ4_KS", "ik_llama.cpp"),
        (212, "Q4_K_R4", "ik_llama.cpp"),
        (399, "Q8_K_R8", "ik_llama.cpp"),
        (31, "Q4_0_4_4", "removed"),
        (36, "I2_S", "bitnet.cpp"),
        (77, "type 77", "another build"),
    ],
)
def test_a_type_of_another_build_is_called_so(tmp_path, kind, label, build):
    """The file is not damaged: fetching it again would bring the same bytes."""
    (tmp_path / "m.gguf").write_bytes(gguf(MODEL, *one_tensor(kind=kind)))
    with pytest.raises(ModelFileError, match=build) as caught:
        find_checkpoint(str(tmp_path / "m.gguf"))
    assert (label in caught.value.what, "again" in str(caught.value)) == (True, False)
