"""``seatrial models``: the catalog for people and for programs."""

import json

from seatrial.cli.main import main


def test_models_lists_the_catalog_as_json(capsys):
    """Every checkpoint with its bytes, their origin and source."""
    assert 0 == main(["models", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert ["flash", "pro", "smollm2", "tiny-v4"] == [model["id"] for model in document["models"]]
    sizes = {row["id"]: (row["weights_bytes"], row["origin"]) for row in document["checkpoints"]}
    assert (159_609_485_896, "derived") == sizes["deepseek-ai/DeepSeek-V4-Flash"]
    assert sizes["deepseek-ai/DeepSeek-V4.1-Flash"][0] is None


def test_models_groups_the_catalog_for_people(capsys):
    """One table a model; what runs nowhere here says so."""
    assert 0 == main(["models"])
    shown = capsys.readouterr().out
    assert "DeepSeek-V4-Flash: 35 checkpoints" in shown
    assert "none here" in shown
    assert "unknown" in shown
