"""What a person must know to use the plan: engine versions, rewritten flags, drafts, how to chat."""

from __future__ import annotations

import json

from seatrial.catalog.engine_facts import engine_facts, is_older
from seatrial.catalog.types import Checkpoint, Model
from seatrial.flags import Flags
from seatrial.plan.types import TENSOR_PARALLEL, Plan
from seatrial.plan.vendor.chat import chat_of, chat_reasons
from seatrial.records import Reason
from seatrial.units import counted, format_bytes, format_gib

_DRAFTS = {"mtp": "MTP head", "dspark": "DSpark stages"}
_MIG = "docs.nvidia.com/datacenter/tesla/mig-user-guide/mig-device-names.html (CUDA device enumeration); vllm-project/vllm#6551"


def fact_reasons(plan: Plan, model: Model, checkpoint: Checkpoint, nodes: int) -> tuple[Reason, ...]:
    """Sentences for the end of a plan: how it is run, and how to talk to it.

    Args:
        plan: The plan, with its recipe.
        model: Its model.
        checkpoint: Its checkpoint.
        nodes: Machines there are.

    """
    found = [_version_reason(plan.engine, checkpoint)]
    if plan.runs:
        found += _cuda_reasons(plan)
        found += _idle_reasons(plan, nodes)
        found += _node_reasons(plan)
        chat = chat_of(plan.engine, model, checkpoint, plan.context_tokens, plan.recipe)
        found += _kept_reasons(plan)
        found += [plan.recipe.respelled] if plan.recipe and plan.recipe.respelled else []
        found += _draft_reasons(plan, checkpoint)
        found += chat_reasons(chat, plan.context_tokens) if chat else ()
        found += _base_reasons(checkpoint)
    return tuple(found)


def _base_reasons(checkpoint: Checkpoint) -> list[Reason]:
    """What a checkpoint of pre-training alone is not for."""
    if not checkpoint.base:
        return []
    text = (
        f"{checkpoint.id} comes from pre-training alone: it goes on with a text, and neither chats nor calls tools; "
        "it is planned only where it is named."
    )
    return [Reason(text, "verified", checkpoint.source)]


def _version_reason(engine: str, checkpoint: Checkpoint) -> Reason:
    """Which version is needed, and since when it knows this checkpoint's draft."""
    row = engine_facts(engine).versions
    if row.safe is None:
        return Reason(f"{engine} is {row.why}.", "verified", row.source)
    text = f"{engine} {row.safe} or newer: {row.why}."
    if row.dspark and checkpoint.draft == "dspark":
        text += f" The DSpark draft of this checkpoint needs {row.dspark} or newer."
    return Reason(text, "verified", row.source)


def _cuda_reasons(plan: Plan) -> list[Reason]:
    """That the driver is older than the engine's release wants, where it was read and is."""
    row, cuda = engine_facts(plan.engine).versions, plan.hardware.cuda
    if row.cuda is None or cuda is None or not is_older(cuda, row.cuda):
        return []
    text = (
        f"The driver here goes up to CUDA {cuda}; {plan.engine} {row.safe} is built for CUDA {row.cuda}: update the "
        "driver, or run a container with NVIDIA's forward-compatibility package."
    )
    return [Reason(text, "verified", row.source)]


def _idle_reasons(plan: Plan, nodes: int) -> list[Reason]:
    """That GPUs or machines stay idle, where the chosen form uses fewer than there are."""
    there = len(plan.hardware.gpus)
    sliced = there > 1 and all(gpu.mig for gpu in plan.hardware.gpus)
    if plan.engine not in TENSOR_PARALLEL and not (sliced and plan.gpus_per_node):
        return []
    unused = []
    if plan.nodes < nodes:
        unused.append(f"{plan.nodes} of the {nodes} machines")
    if plan.gpus_per_node < there:
        unused.append(f"{plan.gpus_per_node} of the {there} GPUs{' in each' if plan.nodes > 1 else ''}")
    if not unused:
        return []
    text = f"It runs on {' and '.join(unused)}; the others stay idle."
    if sliced:
        return [Reason(f"{text} MIG slices do not work together: CUDA shows a process one of them.", "verified", _MIG)]
    return [Reason(text, "derived", plan.recipe.source if plan.recipe else plan.footprint.source)]


def _node_reasons(plan: Plan) -> list[Reason]:
    """How the machines start, where there are several."""
    if plan.nodes == 1:
        return []
    row = engine_facts(plan.engine).versions
    more = f"; those after the first take no requests ({row.worker_flag})" if row.worker_flag else ""
    text = f"Each of the {plan.nodes} machines runs its own command, with its rank and the address of the first{more}."
    return [Reason(text, "verified", plan.recipe.source if plan.recipe else row.source)]


def _kept_reasons(plan: Plan) -> list[Reason]:
    """Which settings of the nearest recipe the command keeps, where it is not the plan's own."""
    recipe = plan.recipe
    if recipe is None or not recipe.differences or not (recipe.flags or recipe.env):
        return []
    words = [name if value is None else f"{name} {value}" for name, value in recipe.flags.items()]
    words += [f"{name}={value}" for name, value in recipe.env.items()]
    text = f"Kept of the nearest recipe ({recipe.cell}), since they belong to the GPU's architecture and the format: {', '.join(words)}."
    return [Reason(text, "derived", recipe.source)]


def _draft_reasons(plan: Plan, checkpoint: Checkpoint) -> list[Reason]:
    """Whether tokens are drafted, by what, and what that costs."""
    if plan.engine not in TENSOR_PARALLEL or checkpoint.draft is None:
        return []
    head = f"{_DRAFTS[checkpoint.draft]}, {format_gib(plan.footprint.by_class.get('draft', 0))} of the weights"
    recipe = plan.recipe
    drafting = _drafting(recipe.flags) if recipe and not recipe.differences else None
    if drafting is None:
        exact = recipe is not None and not recipe.differences
        why = "the recipe runs without" if exact else "no recipe with a draft matches exactly"
        text = f"No speculative decoding: {why}; the checkpoint's draft ({head}) is counted and stays idle."
        hint = engine_facts(plan.engine).versions.draft_flags.get(checkpoint.draft)
        if hint is None:
            return [Reason(text, "derived", plan.footprint.source)]
        return [Reason(f"{text} {hint.text}.", "derived", f"{plan.footprint.source}; {hint.source}")]
    cache = plan.footprint.kv_by_class.get("draft")
    text = f"Speculative decoding: {drafting} with the checkpoint's draft ({head})"
    text += f"; its KV cache of {format_bytes(cache)} is counted." if cache else "."
    return [Reason(text, "verified", recipe.source if recipe else plan.footprint.source)]


def _drafting(flags: Flags) -> str | None:
    """What a recipe drafts, in words; None where it does not."""
    if steps := flags.get("--speculative-num-steps"):
        return f"{flags['--speculative-algorithm']} drafts {counted(int(steps), 'token')} a step"
    if config := flags.get("--speculative-config"):
        row = json.loads(config)
        return f"{row['method']} drafts {counted(row['num_speculative_tokens'], 'token')} a step"
    return None
