"""Notes for whoever runs a plan: engine versions, idle GPUs, rewritten flags, drafts, how to chat."""

from __future__ import annotations

from collections.abc import Iterator

from seatrial.catalog.engine_facts import engine_facts, is_older
from seatrial.catalog.types import Checkpoint
from seatrial.plan.types import TENSOR_PARALLEL, Plan, Recipe
from seatrial.plan.vendor.chat import chat_reasons
from seatrial.plan.vendor.recipes import drafting_of
from seatrial.records import Reason
from seatrial.units import counted, format_bytes, format_gib

_DRAFTS = {"mtp": "MTP head", "dspark": "DSpark stages"}
_MIG = "docs.nvidia.com/datacenter/tesla/mig-user-guide/mig-device-names.html (CUDA device enumeration); vllm-project/vllm#6551"


def run_notes(plan: Plan, checkpoint: Checkpoint, nodes: int) -> Iterator[Reason]:
    """Yield what to know about running the plan, and about talking to the server.

    Args:
        plan: The plan, with its recipe.
        checkpoint: Its checkpoint.
        nodes: Machines asked for.

    """
    if plan.hardware.from_file:
        text = f"{plan.hardware.name} is described by a file, with the memory that was free then."
        yield Reason(text, "derived", plan.hardware.source)
    yield from _version_notes(plan, checkpoint)
    if not plan.runs:
        return
    yield from _machine_notes(plan, nodes)
    if plan.recipe is not None:
        yield from _recipe_notes(plan.recipe)
    drafts = plan.engine in TENSOR_PARALLEL or checkpoint.draft in engine_facts(plan.engine).versions.draft_flags
    if checkpoint.draft is not None and drafts:
        yield _draft_note(plan, checkpoint, checkpoint.draft)
    if plan.chat is not None:
        yield from chat_reasons(plan.chat, plan.context_tokens)
    if checkpoint.base:
        text = (
            f"{checkpoint.id} is a base checkpoint: it continues a text, and neither chats nor calls tools; "
            "it is planned only if it is named."
        )
        yield Reason(text, "verified", checkpoint.source)


def _version_notes(plan: Plan, checkpoint: Checkpoint) -> Iterator[Reason]:
    """Yield the engine version that is needed, and a driver that is too old for it."""
    row, engine, cuda = engine_facts(plan.engine).versions, plan.engine, plan.hardware.cuda
    if row.safe is None:
        yield Reason(f"{engine} is {row.why}.", "verified", row.source)
    else:
        text = f"{engine} {row.safe} or newer: {row.why}."
        if row.dspark and checkpoint.draft == "dspark":
            text += f" The DSpark draft of this checkpoint needs {row.dspark} or newer."
        yield Reason(text, "verified", row.source)
    if plan.runs and row.cuda is not None and cuda is not None and is_older(cuda, row.cuda):
        text = (
            f"The driver of this machine supports CUDA up to {cuda}; {engine} {row.safe} is built for CUDA {row.cuda}: "
            "update the driver, or run a container with NVIDIA's forward-compatibility package."
        )
        yield Reason(text, "verified", row.source)


def _machine_notes(plan: Plan, nodes: int) -> Iterator[Reason]:
    """Yield which GPUs and machines stay idle, and how several machines start."""
    gpus, row = plan.hardware.gpus, engine_facts(plan.engine).versions
    slices = len(gpus) > 1 and all(gpu.mig for gpu in gpus)
    if plan.hardware.origin == "assumed" and len({gpu.name for gpu in gpus}) > 1:
        text = (
            f"Shares and numbers of GPUs follow the order of the name {plan.hardware.name}. The machine itself may list them in "
            "another: plan there, or with the file that seatrial detect --json writes there."
        )
        yield Reason(text, "derived", "NVML lists GPUs by their place on the PCI bus")
    used = [f"{plan.nodes} of the {nodes} machines"] if plan.nodes < nodes else []
    if plan.gpus_per_node < len(gpus):
        used.append(f"{plan.gpus_per_node} of the {len(gpus)} GPUs{' in each' if plan.nodes > 1 else ''}")
    if used and (plan.engine in TENSOR_PARALLEL or (slices and plan.gpus_per_node)):
        text = f"It runs on {' and '.join(used)}; the others stay idle."
        if slices:
            text += " MIG slices do not work together: CUDA shows a process one of them."
            yield Reason(text, "verified", _MIG)
        else:
            yield Reason(text, "derived", plan.recipe.source if plan.recipe else plan.footprint.source)
    if plan.nodes > 1:
        more = f"; those after the first take no requests ({row.worker_flag})" if row.worker_flag else ""
        text = (
            f"Each of the {plan.nodes} machines runs its own command, with its rank and the address of the first{more}."
        )
        yield Reason(text, "verified", plan.recipe.source if plan.recipe else row.source)


def _recipe_notes(recipe: Recipe) -> Iterator[Reason]:
    """Yield the settings taken from the nearest recipe, and the flags that are spelled differently now."""
    if recipe.differences and (recipe.flags or recipe.env):
        words = [name if value is None else f"{name} {value}" for name, value in recipe.flags.items()]
        words += [f"{name}={value}" for name, value in recipe.env.items()]
        why = "since they belong to the GPU's architecture and the format"
        text = f"Kept from the nearest recipe ({recipe.cell}), {why}: {', '.join(words)}."
        yield Reason(text, "derived", recipe.source)
    if recipe.respelled is not None:
        yield recipe.respelled


def _draft_note(plan: Plan, checkpoint: Checkpoint, draft: str) -> Reason:
    """Describe whether tokens are drafted, by what, and what that costs."""
    recipe, source = plan.recipe, plan.footprint.source
    head = f"{_DRAFTS[draft]}, {format_gib(plan.footprint.by_class.get('draft', 0))} of the weights"
    exact = recipe is not None and not recipe.differences
    method, tokens = drafting_of(recipe.flags, checkpoint) if recipe is not None and exact else (None, 0)
    if method is not None and recipe is not None:
        cache = plan.footprint.kv_by_class.get("draft")
        drafting = f"{method} drafts {counted(tokens, 'token')} a step"
        text = f"Speculative decoding: {drafting} with the checkpoint's draft ({head})"
        text += f"; its KV cache of {format_bytes(cache)} is counted." if cache else "."
        return Reason(text, "verified", recipe.source)
    if plan.drafter:
        text = f"Speculative decoding with the checkpoint's draft ({head}); the predicted speed is without it."
        return Reason(text, "derived", source)
    without = "no recipe with a draft matches exactly" if plan.engine in TENSOR_PARALLEL else "it is off by default"
    why = "the recipe runs without" if exact else without
    text = f"No speculative decoding: {why}; the checkpoint's draft ({head}) is counted and stays idle."
    hint = engine_facts(plan.engine).versions.draft_flags.get(draft)
    if hint is not None:
        text, source = f"{text} {hint.text}.", f"{source}; {hint.source}"
    return Reason(text, "derived", source)
