"""Recipes in the current spelling: written from a vendor's facts, and checked."""

from itertools import pairwise

import pytest

from refresh import recipes
from seatrial.errors import UsageError
from seatrial.plan.vendor.recipes_file import catalogues, read_recipes, unknown_checkpoints

CELL = {
    "hw": "h200", "variant": "flash", "quant": "fp4", "strategy": "balanced", "nodes": 1, "gpus_per_node": 1,
    "model_id": "deepseek-ai/DeepSeek-V4-Flash", "env": {}, "argv": [], "status": "verified", "docker_image": None,
}  # fmt: skip
"""A cell in the form of SGLang's cookbook."""
COMMAND = {
    "variant": "default", "hw": "b200", "features": "default", "node_count": 1, "gpus_per_node": 2,
    "hw_status": "verified", "docker_image": "vllm/vllm-openai:v0.25.0", "env": {"NCCL_IB_HCA": "$IB_IF", "A": "1"},
    "argv": ["vllm", "serve", "deepseek-ai/DeepSeek-V4-Pro", "--tensor-parallel-size", "2", "--nnodes", "2"],
}  # fmt: skip
"""A command in the form of vLLM's recipes."""
MODEL = {
    "source": "made up: a recipe", "hardware_status": {"b200": "verified"}, "variants": {"default": {}},
    "model": {"model_id": "deepseek-ai/DeepSeek-V4-Pro"}, "commands": [COMMAND], "guide_commands": [],
}  # fmt: skip


def convert(name, *documents):
    """Return what is wrong with facts of a catalogue, and the recipes file made of them; None if anything is."""
    catalogue = next(row for row in catalogues() if row.name == name)
    try:
        document = recipes.convert(recipes.merged_documents(documents), catalogue.engine)
    except UsageError as error:
        return [error.what], None
    problems = recipes.recipe_problems(document, catalogue)
    return problems, None if problems else document


def written(engine, *words):
    """Return the spellings that were rewritten, and the cell that words of a command become."""
    facts = {"source": "made up", "checked": "2026-11-30", "cells": [CELL | {"argv": list(words)}]}
    ranks = next((int(size) for name, size in pairwise(words) if name in {"--tp", "--dp"}), 1)
    facts["cells"][0]["gpus_per_node"] = ranks
    problems, document = convert(engine, facts)
    assert [] == problems
    return document["rewritten"], document["cells"][0]


def test_old_vllm_spellings_are_rewritten():
    """What 0.33 renamed is written anew, with the reason."""
    reasons, cell = written(
        "vllm",
        "--attention_config.use_fp4_indexer_cache",
        "True",
        "--no-enable-flashinfer-autotune",
        "--block-size=256",
    )
    assert {
        "--attention-config.indexer_kv_dtype": "mxfp4",
        "--disable-flashinfer-autotune": None,
        "--block-size": "256",
    } == cell["flags"]
    assert {
        "--attention_config.use_fp4_indexer_cache": "--attention-config.indexer_kv_dtype",
        "--no-enable-flashinfer-autotune": "--disable-flashinfer-autotune",
    } == cell["rewritten"]
    assert "replaced by indexer_kv_dtype" in reasons["--attention_config.use_fp4_indexer_cache"]["why"]


def test_an_old_sglang_graph_flag_is_rewritten():
    """The flag that became ambiguous is written as what it meant, and what is never started is left out."""
    reasons, cell = written("sglang", "--tp", "8", "--cuda-graph-max-bs", "128", "--trust-remote-code")
    assert {"--tensor-parallel-size": "8", "--cuda-graph-max-bs-decode": "128"} == cell["flags"]
    assert "ambiguous" in reasons["--cuda-graph-max-bs"]["why"]


def test_data_parallel_attention_has_a_flag_of_its_own_now():
    """SGLang 0.5.23 takes --attn-dp-size for --dp with --enable-dp-attention, and plain --dp still counts replicas."""
    reasons, cell = written("sglang", "--tp", "8", "--dp", "8", "--enable-dp-attention")
    assert {"--tensor-parallel-size": "8", "--attn-dp-size": "8"} == cell["flags"]
    assert {"--tp": "--tensor-parallel-size", "--dp": "--attn-dp-size", "--enable-dp-attention": None} == cell[
        "rewritten"
    ]
    assert "0.5.23" == reasons["--dp"]["since"]
    assert {"--data-parallel-size": "2"} == written("sglang", "--dp", "2")[1]["flags"]


def test_a_flag_given_twice_stays_twice():
    """Its values are a list."""
    assert {"--seed": ["1", "2"]} == written("vllm", "--seed", "1", "--seed", "2")[1]["flags"]


def test_the_cookbook_of_sglang_is_read_as_it_is():
    """Its names become those of a recipes file, each cell keeps its status, and a release needs no container."""
    cell = CELL | {
        "hw": "rtx6000", "variant": "flash-official", "gpus_per_node": 2, "argv": ["--tp", "2"], "note": "slow",
        "model_id": "deepseek-ai/DeepSeek-V4-Flash-0731", "docker_image": "lmsysorg/sglang:latest",
    }  # fmt: skip
    others = [cell | {"status": "in-progress"}, cell | {"hw": "mi355x", "docker_image": "rocm:1"}]
    facts = {"source": "page (found so)", "checked": "2026-11-30", "playground": {}, "cells": [cell, *others]}
    problems, document = convert("sglang", facts)
    assert [] == problems
    assert ("page", "found so") == (document["source"], document["source_note"])
    assert [
        ("rtxpro6000", "verified", None),
        ("rtxpro6000", "in-progress", None),
        ("mi355x", "verified", "rocm:1"),
    ] == [(row["accelerator"], row["status"], row.get("image")) for row in document["cells"]]
    first = document["cells"][0]
    assert ("flash", "flash-official", "slow") == (first["model"], first["variant"], first["note"])
    assert {"--tensor-parallel-size": "2"} == first["flags"]


def test_a_flag_that_only_a_container_takes_is_named():
    """And without a container the cell is left out, with the reason."""
    words = ["--tp", "1", "--moe-runner-backend", "b12x"]
    cells = [CELL | {"argv": words, "docker_image": "own:1"}, CELL | {"argv": words}]
    problems, document = convert("sglang", {"source": "made up", "checked": "2026-11-30", "cells": cells})
    assert [] == problems
    assert [["--moe-runner-backend"]] == [row["image_flags"] for row in document["cells"]]
    (left,) = document["left_out"]
    assert "not 'b12x'" in left


def test_the_recipes_of_vllm_are_read_as_they_are():
    """Words of a command become flags; what each machine sets anew is left out, and its network's names are told."""
    problems, document = convert("vllm", {"source_repo": "made up", "checked": "2026-11-30", "models": {"Pro": MODEL}})
    assert [] == problems
    (cell,) = document["cells"]
    assert {"--tensor-parallel-size": "2"} == cell["flags"]
    assert ({"A": "1"}, ["NCCL_IB_HCA"]) == (cell["env"], cell["site_env"])
    assert ("pro", "balanced", "made up: a recipe") == (cell["model"], cell["strategy"], cell["source"])
    assert "image" not in cell


def test_a_command_of_the_guide_replaces_the_generated_one():
    """It was written by hand, by somebody who ran it; what nobody verified is left out."""
    guide = {"hw": "b200", "gpus": 4, "env": {}, "argv": [*COMMAND["argv"][:3], "--tensor-parallel-size", "4"]}
    guide["model_id"] = "deepseek-ai/DeepSeek-V4-Pro"
    unlisted = COMMAND | {"hw": "h100", "hw_status": "not listed"}
    model = MODEL | {"commands": [COMMAND, unlisted], "guide_commands": [guide]}
    _, document = convert("vllm", {"source_repo": "made up", "checked": "2026-11-30", "models": {"Pro": model}})
    assert [4] == [row["gpus_per_node"] for row in document["cells"]]
    assert ["h100 deepseek-ai/DeepSeek-V4-Pro balanced: the vendor calls it not listed"] == document["left_out"]


def test_a_later_document_replaces_the_models_it_names():
    """A vendor's newer recipe for one model leaves the others as they are."""
    flash = MODEL | {"commands": [COMMAND | {"argv": ["vllm", "serve", "deepseek-ai/DeepSeek-V4-Flash"]}]}
    flash["commands"][0]["gpus_per_node"] = 1
    old = {"source_repo": "made up", "checked": "2026-11-01", "models": {"Pro": MODEL, "Flash": flash}}
    words = [*COMMAND["argv"], "--max-num-seqs", "8"]
    new = {
        "source_repo": "made up",
        "checked": "2026-11-30",
        "models": {"Pro": MODEL | {"commands": [COMMAND | {"argv": words}]}},
    }
    problems, document = convert("vllm", old, new)
    assert ([], "2026-11-30") == (problems, document["checked"])
    assert {"pro": "8", "flash": None} == {
        row["model"]: row["flags"].get("--max-num-seqs") for row in document["cells"]
    }


def test_two_cookbooks_of_one_vendor_are_not_merged():
    """Their cells replace all that are there, so one of two would be lost without a word."""
    facts = {"source": "made up", "checked": "2026-11-30", "cells": [CELL]}
    (problem,), document = convert("sglang", facts, facts)
    assert document is None
    assert "2 of the files hold recipes of one vendor" in problem


def test_the_recipes_of_nvidia_are_read_as_they_are():
    """Its words for a status become ours and are kept; driver, day and load of its run are told."""
    row = {
        "hw": "gb10x1", "nodes": 2, "gpus_total": 2, "model_id": "deepseek-ai/DeepSeek-V4-Flash-0731",
        "docker_image": "own:1", "status": "experimental, on two only", "driver": "580.1", "validated_at": "2026-08-31",
        "concurrency": 8, "env": {}, "node_env": ["NCCL_IB_HCA (both)", "NCCL_IB_DISABLE=0"], "source": "made up: one",
        "argv": ["vllm", "serve", "m", "--tensor-parallel-size", "2"],
    }  # fmt: skip
    problems, document = convert("nvidia", {"source_repo": "made up", "checked": "2026-11-30", "commands": [row]})
    assert [] == problems
    (cell,) = document["cells"]
    assert ("gb10", 1, "in-progress") == (cell["accelerator"], cell["gpus_per_node"], cell["status"])
    assert "experimental, on two only" == cell["vendor_status"]
    assert {"driver": "580.1", "date": "2026-08-31", "concurrency": 8} == cell["run"]
    assert ({"NCCL_IB_DISABLE": "0"}, ["NCCL_IB_HCA"]) == (cell["env"], cell["site_env"])


def without(row, name):
    """Return a row that lacks a field."""
    return {field: value for field, value in row.items() if field != name}


BAD = {
    "no recipes": ({"source": "s", "checked": "d", "rows": []}, "neither `cells` nor `models` nor `commands`"),
    "a field missing": ({"cells": [CELL, without(CELL, "quant")]}, "Row 1 of the facts lacks 'quant'"),
    "no words": ({"cells": [CELL | {"argv": 3}]}, "Row 0 of the facts cannot be read"),
    "an unknown GPU": ({"cells": [CELL | {"hw": "h999"}]}, "No accelerator is called h999 (1 of 1 cells name it)."),
    "half a machine": ({"cells": [CELL | {"nodes": 0.5}]}, "Expected `int`, got `float` - at `$.cells[0].nodes`"),
    "no machine": ({"cells": [CELL | {"nodes": 0}]}, "Expected `int` >= 1 - at `$.cells[0].nodes`"),
    "an odd strategy": ({"cells": [CELL | {"strategy": "fast"}]}, "Invalid enum value 'fast' - at `$.cells[0].strategy`"),
    "ranks that are none": ({"cells": [CELL | {"argv": ["--tp", "four"]}]}, "a flag has a value of the wrong type"),
    "too many ranks": ({"cells": [CELL | {"argv": ["--tp", "4"]}]}, "over 4 ranks, and it has 1 GPUs"),
    "a share below nothing": (
        {"cells": [CELL | {"argv": ["--mem-fraction-static", "-1"]}]}, "a flag has a value that no engine takes"),
    "a share of all and more": (
        {"cells": [CELL | {"argv": ["--mem-fraction-static", "1.5"]}]}, "a flag has a value that no engine takes"),
    "two statuses": ({"cells": [CELL | {"verified": True, "status": "in-progress"}]}, "verified is true, and the status is in-progress"),
    "no variable": ({"cells": [CELL | {"env": {"A B": "1"}}]}, "at `key` in `$.cells[0].env`"),
}  # fmt: skip


@pytest.mark.parametrize(("facts", "message"), BAD.values(), ids=BAD)
def test_bad_facts_get_one_message(facts, message):
    """What is wrong and where."""
    problems, document = convert("sglang", {"source": "made up", "checked": "2026-11-30"} | facts)
    assert (1, None) == (len(problems), document)
    assert message in problems[0]


def test_a_status_nobody_knows_leaves_the_row_out():
    """It is told with the vendor's word."""
    cells = [CELL, CELL | {"status": "dreamt of"}]
    _, document = convert("sglang", {"source": "made up", "checked": "2026-11-30", "cells": cells})
    assert 1 == len(document["cells"])
    assert ["h200 deepseek-ai/DeepSeek-V4-Flash balanced: the vendor calls it dreamt of"] == document["left_out"]


def test_a_checkpoint_that_the_catalog_lacks_is_told_and_kept():
    """Its cells are planned once the catalog has it."""
    cells = [CELL, CELL | {"model_id": "somebody/DeepSeek-V4-Flash-FP2"}]
    problems, document = convert("sglang", {"source": "made up", "checked": "2026-11-30", "cells": cells})
    assert ([], 2) == (problems, len(document["cells"]))
    told = list(unknown_checkpoints(read_recipes(document, "sglang_recipes.json")))
    assert ["No checkpoint is called somebody/DeepSeek-V4-Flash-FP2 (1 of 2 cells name it)."] == told


def test_no_recipe_holds_an_old_spelling():
    """The package's own recipes are as the tool would write them."""
    assert [] == [line for row in catalogues() for line in recipes.old_spellings(row)]
