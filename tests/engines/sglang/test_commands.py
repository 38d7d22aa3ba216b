"""Every command for SGLang that the kit can render, understood by SGLang's own parser as it was meant."""

from itertools import product

import pytest
from tests.engines.sglang.conftest import KEY
from tests.plan.cell_plans import plan_of_cell

from seatrial.catalog import checkpoints, find_checkpoint
from seatrial.catalog.architecture import architecture_of
from seatrial.engines import build_command
from seatrial.flags import Flags
from seatrial.hardware import detect_hardware
from seatrial.hardware.accelerators import accelerators
from seatrial.memory.options import Options
from seatrial.plan import make_plan
from seatrial.plan.request import OBJECTIVES
from seatrial.plan.vendor.limits import limits
from seatrial.plan.vendor.recipes import cells

pytestmark = [pytest.mark.sglang, pytest.mark.xdist_group("sglang")]

CELLS = [cell for cell in cells() if cell.engine == "sglang"]
LOADABLE = [row for row in checkpoints() if "sglang" in row.engines and row.weights_bytes]
COUNTS = (1, 2, 4, 8, 16, 72)
NODES = (1, 2)
WISHES = (
    {},
    {"recipes": False},
    {"context_tokens": 1_048_576, "concurrency": 64},
)
"""What else may be asked for: nothing, no recipes, long contexts for many."""
UNUSED_SHARE = 0.8
TOLD = 5
"""Differences that a failed test tells."""


def of_catalog():
    """Yield every plan for SGLang that runs: each checkpoint on each machine whose GPUs could hold its weights."""
    for row, gpu, count, nodes in product(LOADABLE, accelerators().values(), COUNTS, NODES):
        capacity = count * nodes * (gpu.memory_bytes or 0)
        # Machines with a choice of memory sizes are Macs and their like, which SGLang does not serve.
        if gpu.memory_options_gb or count > gpu.gpus_per_node_max or capacity < row.weights_bytes:
            continue
        hardware = detect_hardware(f"{gpu.key}x{count}")
        ranks = {None, max(1, count * nodes // 2)}
        for objective, wish, tensor in product(OBJECTIVES, WISHES, ranks):
            given = {"hardware": hardware, "nodes": nodes, "objective": objective, "tensor_parallel": tensor, **wish}
            plan = make_plan(checkpoint=row.id, engine="sglang", **given)
            if plan.runs:
                yield plan


def question_of(parser, plan):
    """Return the question about a plan's command."""
    return parser.question(plan, build_command(plan, model_path=str(parser.model_path(plan.checkpoint))))


IMAGE_FLAGS = {cell.name: cell.image_flags for cell in CELLS if cell.image_flags}
"""Flags that only the container of a recipe takes, by the recipe."""


def alike(written, read):
    """Return True if SGLang read the written value; a number in another form is the same number."""
    if read is True or not written:
        return read is True and not written
    try:
        return float(written) == float(read)
    except (TypeError, ValueError):
        return written == str(read)


def meant(plan, flags):
    """Return the settings that the plan relies on, by SGLang's names."""
    chats = plan.chat is not None and bool(plan.chat.flags)
    # SGLang sizes V4.1's windows by requests unless the share is set: what it resolves then is not used.
    share = UNUSED_SHARE if architecture_of(plan.architecture).windows_by_requests else Options().swa_ratio
    expected = {
        "api_key": KEY,
        "host": "127.0.0.1",
        "port": 30000,
        "trust_remote_code": False,
        "served_model_name": plan.checkpoint,
        "tp_size": plan.parallelism.tensor,
        "attn_dp_size": plan.parallelism.data,
        "ep_size": plan.parallelism.expert,
        "pp_size": plan.parallelism.pipeline,
        "nnodes": plan.nodes,
        "context_length": plan.context_tokens,
        "max_running_requests": int(flags.get("--max-running-requests", limits().running_requests)),
        "attention_backend": "dsv4",
        "kv_cache_dtype": "fp8_e4m3",
        "page_size": 256,
        "swa_full_tokens_ratio": float(flags.get("--swa-full-tokens-ratio", share)),
        "reasoning_parser": plan.chat.reasoning_parser if chats else None,
        "tool_call_parser": plan.chat.tool_call_parser if chats else None,
        "speculative_algorithm": flags.get("--speculative-algorithm"),
    }
    for name in ("speculative_num_steps", "speculative_eagle_topk", "speculative_num_draft_tokens"):
        written = flags.get(f"--{name.replace('_', '-')}")
        expected[name] = int(written) if written else None
    if flags.get("--speculative-algorithm") == "DSPARK":
        # One step drafts a whole block, whose size SGLang reads from the checkpoint; the last token is no draft.
        block = (
            flags.get("--speculative-dspark-block-size") or find_checkpoint(plan.checkpoint).config["dspark_block_size"]
        )
        expected |= {"speculative_num_steps": 1, "speculative_eagle_topk": 1}
        expected["speculative_num_draft_tokens"] = int(block) + 1
    # The plan relies on this very share, from the command or from SGLang's own rule.
    expected["mem_fraction_static"] = plan.gpu_memory_fraction_used
    return expected


def wrong(plan, question, answer):
    """Return the differences between SGLang's reading of a command and the plan, one line each."""
    found = [answer["error"]]
    if refused := IMAGE_FLAGS.get(plan.recipe.cell) if plan.recipe and not plan.recipe.differences else None:
        # What only the vendor's own container takes is refused by the release, and by its name.
        found = [f"{name} was taken" for name in refused if name not in answer["error"]]
    elif not answer["error"]:
        flags, read, resolved = Flags.from_words(question["argv"]), answer["parsed"], answer["resolved"]
        found = [f"{name}={flags[name]} is read as {read[name]}" for name in read if not alike(flags[name], read[name])]
        expected = meant(plan, flags).items()
        found += [f"{name} is {resolved[name]}, not {value}" for name, value in expected if resolved[name] != value]
    return [f"{plan.checkpoint} on {plan.nodes} x {plan.hardware.name}: {text}" for text in found]


@pytest.fixture(scope="module")
def understood(parser):
    """Return plan, question and SGLang's answer for each recipe; empty if SGLang is not installed."""
    if parser is None:
        return {}
    plans = [plan_of_cell(cell) for cell in CELLS]
    questions = [question_of(parser, plan) for plan in plans]
    return dict(enumerate(zip(plans, questions, parser.ask(questions), strict=True)))


@pytest.mark.parametrize("place", range(len(CELLS)), ids=[f"{c.name} {c.checkpoint} x{c.nodes}" for c in CELLS])
@pytest.mark.usefixtures("sglang")
def test_every_cell_is_understood(understood, place):
    """The vendor's cell as the kit writes it: accepted, resolved on its GPU, every setting as it was meant.

    What only the vendor's own container takes is refused by the release, and by its name.
    """
    assert [] == wrong(*understood[place])


def test_every_plan_of_the_catalog_is_understood(sglang):
    """Each checkpoint, machine, objective, context and parallelism that runs gives a command SGLang would start with."""
    asked = {}

    def questions():
        for plan in of_catalog():
            question = question_of(sglang, plan)
            if (text := str(question)) not in asked:
                asked[text] = plan, question
                yield question

    answers = sglang.ask(questions())
    pairs = zip(asked.values(), answers, strict=True)
    assert [] == [line for (plan, question), answer in pairs for line in wrong(plan, question, answer)][:TOLD]
    assert len(answers) > 1000
