"""``seatrial models``: the catalog for people and for programs."""

import json

from seatrial.catalog import checkpoints
from seatrial.cli.main import main


def test_models_lists_the_catalog_as_json(capsys):
    """Every checkpoint with its bytes, their origin and source."""
    assert 0 == main(["models", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert ["flash", "pro", "v4.1-flash", "flash-vision-exp", "smollm2", "tiny-v4"] == [
        model["id"] for model in document["models"]
    ]
    sizes = {row["id"]: (row["weights_bytes"], row["origin"]) for row in document["checkpoints"]}
    assert (159_609_485_896, "derived") == sizes["deepseek-ai/DeepSeek-V4-Flash"]
    revisions = {row["id"]: (row["revision"], row["moved_to"]) for row in document["checkpoints"]}
    assert ("7872f01b", "9e165c30e2704aec5d9d593cce3eebd58bbef1cb") == revisions["deepseek-ai/DeepSeek-V4-Flash-0731"]
    assert (None, None) == revisions["deepseek-ai/DeepSeek-V4-Flash"]
    assert (510_286_021_464, "derived") == sizes["deepseek-ai/DeepSeek-V4.1-Flash"]
    assert sizes["RedHatAI/DeepSeek-V4-Flash-NVFP4-FP8"][0] is None
    drafters = {row["id"]: row["drafts_for"] for row in document["drafters"]}
    assert "DeepSeek-V4-Flash-0731" == drafters["unsloth/DeepSeek-V4-Flash-0731-GGUF:dspark-Q8_0"]
    assert not drafters.keys() & sizes.keys()


def test_models_groups_the_catalog_for_people(capsys):
    """Each model has a table; a checkpoint that runs nowhere has a note."""
    assert 0 == main(["models"])
    shown = capsys.readouterr().out
    count = sum(row.model == "flash" for row in checkpoints())
    assert f"DeepSeek-V4-Flash: {count} checkpoints" in shown
    assert "no engine" in shown
    assert "drafters, for --drafter" in shown
    assert "bytes of revision 7872f01b; the repository has since moved to 9e165c30" in " ".join(shown.split())
    assert "unknown" in shown


def test_models_of_a_machine_say_what_fits(capsys):
    """--hardware adds a row for each checkpoint: verdict, bytes, largest context, predicted speed."""
    assert 0 == main(["models", "--hardware", "h200x4", "--model", "flash", "--concurrency", "8", "--json"])
    document = json.loads(capsys.readouterr().out)
    rows = {row["checkpoint"]: row for row in document["fits"]}
    native = rows["deepseek-ai/DeepSeek-V4-Flash"]
    assert ("verified", "sglang", 159_609_485_896) == (native["verdict"], native["engine"], native["weights_bytes"])
    assert native["need_bytes"] <= native["capacity_bytes"]
    assert native["largest_context_tokens"] > 0
    assert native["prediction"]["decode_tokens_per_s"]["low"] < native["prediction"]["decode_tokens_per_s"]["high"]
    assert "h200x4" == document["hardware"]["name"]
    assert [
        "nvidia/DeepSeek-V4-Flash-NVFP4-DSpark",
        "RedHatAI/DeepSeek-V4-Flash-NVFP4-FP8",
        "ggml-org/DeepSeek-V4-Flash-GGUF",
    ] == document["left_out"]["flash"]["its size is not published"]


def test_models_of_a_machine_for_people(capsys):
    """Both models, the one that runs first."""
    assert 0 == main(["models", "--hardware", "m3-ultra-512gb"])
    shown = capsys.readouterr().out
    assert "checkpoints of flash run on m3-ultra-512gb" in shown
    assert "checkpoints of pro run on m3-ultra-512gb" in shown
    assert "✗" in shown


def test_a_machine_s_options_need_a_machine(capsys):
    """Passed over in silence they would mislead."""
    for words in (["--nodes", "2"], ["--host-memory-gib", "64"], ["--model", "pro"], ["--context-tokens", "8192"]):
        assert 2 == main(["models", *words])
        assert "Add --hardware." in capsys.readouterr().err


def test_a_model_no_engine_of_the_machine_loads_has_an_empty_table(capsys):
    """V4.1 on a Mac: the table names its checkpoints, and what they need."""
    assert 0 == main(["models", "--hardware", "m3-ultra-512gb", "--model", "v4.1-flash"])
    shown = capsys.readouterr().out
    assert "0 of 0 checkpoints of v4.1-flash run on m3-ultra-512gb" in shown
    assert "Not shown (needs sglang or vllm and GPUs of NVIDIA or AMD): deepseek-ai/DeepSeek-V4.1-Flash" in " ".join(
        shown.split()
    )
