"""Which plan a machine can carry out: what is installed decides, as near as it goes to what the planner prefers."""

from dataclasses import replace

import pytest

from seatrial.catalog import find_checkpoint
from seatrial.fetch import cache
from seatrial.hardware import detect_hardware
from seatrial.launching.choose import choose_plan
from seatrial.plan.request import Request

SAYS = {
    "sglang": ("SEATRIAL_SGLANG_PYTHON", "\n0.5.23"),
    "vllm": ("SEATRIAL_VLLM", "0.33.0"),
    "llamacpp": ("SEATRIAL_LLAMA_SERVER", "version: 19999 (abc)"),
}


@pytest.fixture
def eight_h200s():
    """Return this machine, as if it had eight H200."""
    return replace(detect_hardware("h200x8", host_memory_gib=1024), origin="measured")


@pytest.fixture
def install(monkeypatch, tmp_path):
    """Install a program that prints a version in place of each engine named; no other engine, no checkpoint."""
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setattr("sys.platform", "linux")

    def installed(*engines):
        for engine in engines:
            setting, says = SAYS[engine]
            program = tmp_path / engine
            program.write_text(f"#!/bin/sh\nprintf '%s\\n' '{says}'\n")
            program.chmod(0o755)
            monkeypatch.setenv(setting, str(program))

    return installed


@pytest.fixture
def keep():
    """Record a checkpoint of one small file as fetched."""

    def kept(checkpoint):
        row = find_checkpoint(checkpoint)
        folder = cache.folder_of(row)
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        cache.write_manifest(folder, row, "a test", [cache.RemoteFile("config.json", 2, None)])

    return kept


@pytest.mark.parametrize(
    ("engines", "engine", "checkpoint"),
    [
        (("sglang",), "sglang", "deepseek-ai/DeepSeek-V4-Flash-0731"),
        (("llamacpp",), "llamacpp", "unsloth/DeepSeek-V4-Flash-0731-GGUF:UD-Q8_K_XL"),
        (("sglang", "llamacpp"), "sglang", "deepseek-ai/DeepSeek-V4-Flash-0731"),
        (("vllm",), "vllm", "deepseek-ai/DeepSeek-V4-Flash-0731"),
        (("sglang", "vllm", "llamacpp"), "vllm", "deepseek-ai/DeepSeek-V4-Flash-0731"),
    ],
)
def test_what_is_installed_is_chosen(install, eight_h200s, engines, engine, checkpoint):
    """The planner prefers vLLM on eight H200; where it is missing, the best of what is here comes, and that is said."""
    install(*engines)
    choice = choose_plan(Request(eight_h200s, model="flash"))
    assert ("vllm", engine, checkpoint) == (choice.best.engine, choice.plan.engine, choice.plan.checkpoint)
    assert choice.missing is None
    assert ("vllm" not in engines) == ("The plan prefers" in choice.why) == (choice.instead_of is not None)


@pytest.mark.parametrize("here", ["deepseek-ai/DeepSeek-V4-Flash", "deepseek-ai/DeepSeek-V4-Flash-0731"])
@pytest.mark.parametrize("installed", [("sglang",), ("vllm",), ("sglang", "vllm")])
def test_a_checkpoint_that_is_here_is_served_by_what_runs_it_best(install, eight_h200s, keep, here, installed):
    """What lies on the disk comes first; of the engines installed the one a vendor ran it with on more GPUs."""
    install(*installed)
    keep(here)
    choice = choose_plan(Request(eight_h200s, model="flash"))
    assert (here, True) == (choice.plan.checkpoint, choice.fetched)
    # Both vendors ran both: vLLM's on eight GPUs, SGLang's on four.
    assert ("vllm" if "vllm" in installed else "sglang") == choice.plan.engine
    assert "verified" == choice.plan.verdict
