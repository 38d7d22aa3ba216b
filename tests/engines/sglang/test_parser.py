"""SGLang's own parser against what the kit believes of it."""

import pytest
from tests.engines.sglang.conftest import KEY
from tools.engines import ask, read

from seatrial.catalog.engine_facts import engine_facts
from seatrial.engines import build_command
from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan

pytestmark = [pytest.mark.sglang, pytest.mark.xdist_group("sglang")]


@pytest.fixture
def question(sglang):
    """Return the question about a command that SGLang accepts: V4-Flash on four H200."""
    plan = make_plan(checkpoint="deepseek-ai/DeepSeek-V4-Flash", hardware=detect_hardware("h200x4"), engine="sglang")
    return sglang.question(plan, build_command(plan, model_path=str(sglang.model_path(plan.checkpoint))))


def test_the_snapshot_is_what_the_parser_says(require):
    """Version, names, switches and choices in the kit's own list are those of the real parser, none more or fewer."""
    require("sglang parser")
    asked, kept = ask("sglang"), read("sglang")
    assert asked == {name: kept[name] for name in asked}
    assert asked["version"] == engine_facts("sglang").versions.safe


BAD = {
    "--max-model-len=8192": "unrecognized arguments: --max-model-len=8192",
    "--cuda-graph-max-bs=128": "ambiguous option: --cuda-graph-max-bs",
    "--reasoning-parser=deepseek_v4": "invalid choice: 'deepseek_v4'",
    "--tool-call-parser=deepseek-v4": "invalid choice: 'deepseek-v4'",
    "--context-length=much": "Invalid integer value: 'much'",
    "--enable-metrics=1": "ignored explicit argument '1'",
}


@pytest.mark.parametrize(("word", "why"), BAD.items(), ids=BAD)
def test_bad_words_are_rejected(sglang, question, word, why):
    """A command that is accepted is rejected with one bad word more: the other tests here can fail."""
    good, bad = sglang.ask([question, question | {"argv": [*question["argv"], word]}])
    assert good["error"] is None
    assert bad["resolved"] is None
    assert why in bad["error"]


UNFIT = {
    "a draft of two branches": (
        ("--speculative-algorithm=EAGLE", "--speculative-num-steps=3", "--speculative-eagle-topk=2",
         "--speculative-num-draft-tokens=4"), "topk == 1"),
    "Blackwell's attention on Hopper": (("--dsv4-attn-backend=trtllm",), "Blackwell"),
    "heads that do not divide": (("--attn-dp-size=3",), "% cfg.attn_dp_size == 0"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "why"), UNFIT.values(), ids=UNFIT)
def test_what_cannot_be_is_refused_by_the_resolution(sglang, question, words, why):
    """Flags that parse are weighed against the model's config and the GPU."""
    (answer,) = sglang.ask([question | {"argv": [*question["argv"], *words]}])
    assert answer["parsed"] is not None
    assert why in answer["error"]


def test_the_key_file_is_read_as_two_words(sglang, question):
    """SGLang silently ignores ``--config=FILE``, and would then take requests without a key."""
    argv = question["argv"]
    place = argv.index("--config")
    joined = [*argv[:place], f"--config={argv[place + 1]}", *argv[place + 2 :]]
    apart, together = sglang.ask([question, question | {"argv": joined}])
    assert KEY == apart["resolved"]["api_key"]
    assert together["error"] is None
    assert together["resolved"]["api_key"] is None


def test_one_command_says_nothing_about_the_next(sglang, question):
    """The process answers a question the same way before and after others, whatever these set."""
    other = question | {"argv": [*question["argv"], "--page-size=512"], "env": {"SGLANG_DSV4_FP4_EXPERTS": "0"}}
    first, _, last = sglang.ask([question, other, question])
    assert first == last
