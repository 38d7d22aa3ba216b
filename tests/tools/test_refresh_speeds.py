"""Facts about published speeds become the calibration's rows and the table of accepted drafts."""

import json
import sys
from pathlib import Path

import pytest

from seatrial.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
RUN = {
    "hw": "h200", "variant": "flash", "quant": "fp4", "strategy": "low-latency", "nodes": 1, "gpus": 4, "concurrency": 1,
    "isl": 8192, "osl": 1024, "ttft_ms": 242, "tpot_ms": 3.37, "derived_output_tok_s": 268.0, "sglang_version": "0.5.15",
    "percentile": "P50",
}  # fmt: skip
DRAFTS = {
    "model": "V4-Pro-0813", "method": "dspark, probabilistic", "thinking": "on, effort high", "dataset": "SPEED-Bench coding",
    "engine": "vLLM on B300", "acceptance_length": {"1": 1.84, "5": 3.61}, "source": "a source", "checked": "2026-11-30",
}  # fmt: skip


@pytest.fixture
def speeds(monkeypatch):
    """Return a function that converts facts: documents by the name of their file."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "tools"), *sys.path])
    from refresh.kinds import data_files
    from refresh.speeds import speeds_of

    def convert(rows, drafts=(), others=()):
        document = {"_meta": {"date": "2026-11-30"}, "sglang": {"source": "a page", "rows": rows},
                    "acceptance": {"rows": list(drafts)}}  # fmt: skip
        found = list(speeds_of([document, *others], data_files(ROOT), None))
        made = {each.file.name: each for each in found}
        assert len(made) == len(found)
        return made

    return convert


def run_of(speeds, **changes):
    """Return the row that one run becomes."""
    (row,) = speeds([RUN | changes])["speed/published"].document["rows"]
    return row


def test_a_run_takes_drafts_and_replicas_from_its_recipe(speeds):
    """Milliseconds become seconds; what the recipe's flags say stands beside them."""
    row = run_of(speeds, strategy="balanced", concurrency=64, ttft_ms=864, tpot_ms=34.12, derived_output_tok_s=1365.3)
    assert (0.864, 0.03412, 1, "mtp", 1, False) == tuple(
        row[name] for name in ("ttft_s", "tpot_s", "draft_tokens", "draft_method", "data_parallel", "deepep")
    )
    assert "deepseek-ai/DeepSeek-V4-Flash" == row["checkpoint"]


def test_lengths_are_what_the_figures_say(speeds):
    """64 requests of 1,024 tokens at 37.42 ms and 6.64 s make 1,458 tokens/s; of 512 on average they would make fewer."""
    there = {"hw": "gb300", "variant": "pro-official", "strategy": "balanced", "concurrency": 64}
    fixed = run_of(speeds, **there, ttft_ms=6641.9, tpot_ms=37.42, derived_output_tok_s=1458.2, num_prompts=320)
    drawn = run_of(speeds, **there, ttft_ms=1088, tpot_ms=50.17, derived_output_tok_s=1091.1)
    assert ["fixed", "drawn"] == [fixed["lengths"], drawn["lengths"]]
    assert [320, 128] == [fixed["requests"], drawn["requests"]]


def test_a_tpot_the_throughput_contradicts_is_replaced(speeds):
    """512.5 tokens at 269.3 a second take 1.9 s, less 0.308 s to the first: 3.11 ms each, not 1.72."""
    row = run_of(speeds, tpot_ms=1.72, ttft_ms=308.0, derived_output_tok_s=269.3, consistent=False)
    assert pytest.approx((512.5 / 269.3 - 0.308) / 512.5, abs=1e-6) == row["tpot_s"]
    assert "throughput" in row["tpot_from"]


def test_a_queue_shows_how_many_run(speeds):
    """A first token after minutes is a wait: throughput x TPOT decode, within the recipe's limit."""
    row = run_of(speeds, strategy="high-throughput", concurrency=1024, ttft_ms=193_812, tpot_ms=120.0,
                 derived_output_tok_s=2000.0)  # fmt: skip
    assert (240, "throughput x TPOT (Little's law)") == (row["running_limit"], row["running_limit_basis"])


def test_a_run_without_a_recipe_is_named(speeds):
    """It is left out, and the person reads which."""
    made = speeds([RUN, RUN | {"strategy": "fastest"}])["speed/published"]
    assert 1 == len(made.document["rows"])
    assert ("h200 flash fp4 fastest x1: no recipe of this name, left out.",) == made.notes


def test_accepted_drafts_become_a_row_and_others_stay(speeds):
    """Method, text and thinking from the finder's words; rows the facts do not have are kept."""
    installed = json.loads((ROOT / "lib/seatrial/speed/acceptance.json").read_text(encoding="utf-8"))["rows"]
    rows = speeds([RUN], [DRAFTS | {"acceptance_length": {"5": 9.9}}])["speed/acceptance"].document["rows"]
    assert ("pro", "dspark", "on", "code", {"5": 9.9}) == tuple(
        rows[0][name] for name in ("model", "method", "thinking", "workload", "accepted")
    )
    assert len(installed) == len(rows)


def test_documents_given_together_make_one_file_of_each_kind(speeds):
    """No run and no row of accepted drafts is lost, the sources are told together, and the last day counts."""
    later = {"_meta": {"date": "2026-12-01"}, "sglang": {"source": "another", "rows": [RUN | {"concurrency": 16}]},
             "acceptance": {"rows": [DRAFTS | {"acceptance_length": {"5": 8.8}}]}}  # fmt: skip
    vision = {"model": "V4-Flash-Vision-Exp", "method": "mtp", "acceptance_length": {"2": 1.5}}
    made = speeds([RUN], [DRAFTS, DRAFTS | vision], [later])
    published, drafts = made["speed/published"].document, made["speed/acceptance"].document["rows"]
    assert [1, 16] == [row["concurrency"] for row in published["rows"]]
    assert ("a page; another", "2026-12-01") == (published["source"], published["checked"])
    assert [{"5": 8.8}, {"2": 1.5}] == [
        row["accepted"]
        for row in drafts
        if (row["model"], row["method"], row["thinking"], row["workload"])
        in {("pro", "dspark", "on", "code"), ("flash-vision-exp", "mtp", "on", "code")}
    ]


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"model": "V4.1-Pro"}, "V4.1-Pro, dspark, probabilistic: no model of the catalog has this name, left out."),
        ({"method": "eagle"}, "V4-Pro-0813, eagle: its method is neither mtp nor dspark, left out."),
        (
            {"acceptance_length": {"default": 3.5}},
            "V4-Pro-0813, dspark, probabilistic: default names no count of drafts, left out.",
        ),
        (
            {"acceptance_length": {}, "acceptance_share": {"poems": 0.4}},
            "V4-Pro-0813, dspark, probabilistic: poems names no count of drafts, left out.",
        ),
    ],
)
def test_accepted_drafts_that_make_no_row_are_named(speeds, facts, why):
    """A model, method or count that nobody knows is left out with a note, and the table stays."""
    made = speeds([RUN], [DRAFTS | facts])
    assert (["speed/published"], (why,)) == (list(made), made["speed/published"].notes)


def test_shares_are_of_the_drafts_the_method_names(speeds):
    """llama.cpp tells shares by text; each is a row of its own engine."""
    facts = {name: value for name, value in DRAFTS.items() if name != "acceptance_length"}
    facts |= {"method": "llama.cpp draft-dspark n-max 3", "acceptance_share": {"poems": 0.4}}
    row = speeds([RUN], [facts])["speed/acceptance"].document["rows"][0]
    assert ("llamacpp", "poems", {"3": 0.4}) == (row["engine"], row["workload"], row["share"])


@pytest.mark.parametrize(
    ("drafts", "message"),
    [
        ([DRAFTS | {"acceptance_length": {"5": "many"}}], "acceptance_length.5 takes a number"),
        ([DRAFTS | {"acceptance_length": {"5": -1}}], "from 0.001, not -1"),
        ([{"model": "V4-Pro"}], "method is missing"),
        (["a row"], "takes a table"),
    ],
)
def test_malformed_drafts_get_one_message(speeds, drafts, message):
    """Wrong types, odd numbers and missing fields, with the place."""
    with pytest.raises(UsageError, match=message.replace(".", r"\.")):
        speeds([RUN], drafts)


def test_figures_that_leave_no_time_are_refused(speeds):
    """A throughput that would need answers before their first token is no run."""
    with pytest.raises(UsageError, match="h200 flash fp4 low-latency x1: 5000"):
        speeds([RUN | {"derived_output_tok_s": 5000.0, "consistent": False}])
