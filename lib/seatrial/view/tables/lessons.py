"""Tables that teach: bytes a token reads, cost of a context, what runs on which machine, meaning of each flag."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files

from seatrial.catalog import Checkpoint, find_checkpoint, model_of
from seatrial.engines import Command, machine_commands
from seatrial.flags import Flags
from seatrial.hardware import Hardware, accelerators
from seatrial.json_text import parse_json
from seatrial.memory import compute_footprint
from seatrial.plan import Plan
from seatrial.plan.load import work_of
from seatrial.records import Interval
from seatrial.speed import Prediction
from seatrial.units import format_bytes, format_gib, format_rate, format_seconds, to_gb
from seatrial.view.tables.commands import placeholders_note
from seatrial.view.tables.hardware import table_accelerators, table_problems
from seatrial.view.tables.memory import COPIES
from seatrial.view.tables.plans import VERDICTS, condition, model_name, needs_unknown_host, spread
from seatrial.view.tables.table import Row, Table
from seatrial.view.untrusted import PlainText

_PRECISIONS = (
    "deepseek-ai/DeepSeek-V4-Flash-0731",
    "sgl-project/DeepSeek-V4-Flash-FP8",
    "nvidia/DeepSeek-V4-Flash-NVFP4",
    "unsloth/DeepSeek-V4-Flash-0731-GGUF:UD-Q8_K_XL",
    "unsloth/DeepSeek-V4-Flash-0731-GGUF:UD-Q4_K_XL",
    "unsloth/DeepSeek-V4-Flash-0731-GGUF:UD-Q3_K_XL",
    "unsloth/DeepSeek-V4-Flash-0731-GGUF:UD-Q2_K_XL",
    "unsloth/DeepSeek-V4-Flash-0731-GGUF:UD-IQ1_S",
    "mlx-community/DeepSeek-V4-Flash-4bit",
)  # one checkpoint of each kind, for a table that fits on a screen
_BATCHES = (1, 8, 64)  # tokens at once
_CACHE_ENGINES = {"vllm": "vLLM, FP8", "sglang": "SGLang, FP8", "llamacpp": "llama.cpp, 16 bit"}


def table_traffic(checkpoints: Iterable[Checkpoint]) -> Table:
    """Return bytes in memory against bytes one token reads, and the experts that several tokens touch."""
    rows = []
    for checkpoint in checkpoints:
        footprint = compute_footprint(checkpoint)
        work = work_of(checkpoint)
        read = work.step_bytes(1)
        touched = (f"{work.experts * work.expert_share(batch):,.0f} of {work.experts}" for batch in _BATCHES)
        rows.append(
            (
                checkpoint.id,
                f"{to_gb(footprint.weights_bytes):,.1f} GB",
                f"{to_gb(read):,.1f} GB",
                f"1/{footprint.weights_bytes / read:,.0f}",
                *touched,
            )
        )
    heads = ("checkpoint", "lies in memory>", "one token reads>", "share>")
    batches = tuple(f"experts for {batch}>" if batch > 1 else "experts for 1 token>" for batch in _BATCHES)
    note = (
        "Experts touched in one layer by that many tokens at once, if the router spreads them evenly: E(1-(1-k/E)^B)."
    )
    return Table("A token reads a small part of what lies in memory", (*heads, *batches), tuple(rows), note)


def table_contexts(checkpoint: Checkpoint, contexts: Sequence[int]) -> Table:
    """Return KV cache and state of one request, by context length and engine."""
    weights = checkpoint.weights_bytes or 0
    rows = []
    for context in contexts:
        sizes = []
        for engine in _CACHE_ENGINES:
            footprint = compute_footprint(checkpoint, engine=engine, context_tokens=context)
            sizes.append(footprint.kv_bytes + footprint.state_bytes)
        rows.append((f"{context:,}", *map(format_bytes, sizes), f"{sizes[0] / weights:.1%}"))
    heads = ("context tokens>", *(f"{name}>" for name in _CACHE_ENGINES.values()), "vLLM, of the weights>")
    note = f"KV cache and state of one request; the weights of {checkpoint.id} are {format_gib(weights)}."
    return Table("A long context costs little memory", heads, tuple(rows), note)


def show_accelerators(hardware: Hardware) -> Table | PlainText:
    """Return the accelerators of a machine, or a sentence that it has none."""
    if hardware.gpus:
        return table_accelerators(hardware)
    return PlainText(
        "Models run on the CPU of this machine, in its own memory.", title=f"{hardware.name}: no accelerator"
    )


def show_problems(hardware: Hardware) -> Table | PlainText:
    """Return what could not be read or is wrong on a machine, or a sentence that nothing is."""
    if hardware.problems:
        return table_problems(hardware.problems)
    return PlainText("Every reading succeeded.", title="No problems")


def table_plans(plans: Iterable[Plan]) -> Table:
    """Return a row for each plan: checkpoint, verdict, memory, predicted speed, and the smallest change that helps."""
    found = tuple(plans)
    copied = any(plan.need_bytes > plan.footprint.total_bytes for plan in found)
    return Table(
        title=_finding(found),
        columns=("plan", "verdict", "needs>", "usable>", "predicted output>"),
        rows=tuple(map(_plan_row, found)),
        note=" ".join([COPIES] * copied + ["The prediction is for all requests together, low to high."]),
        details=tuple(map(_plan_detail, found)),
    )


def table_precisions() -> Table:
    """Return Flash in each published precision: bytes, bits a parameter, and the engines that load it."""
    rows, details = [], []
    for checkpoint in map(find_checkpoint, _PRECISIONS):
        size, parameters = checkpoint.weights_bytes, model_of(checkpoint).parameters_total
        bits = f"{8 * size / parameters:.1f}" if size and parameters else "unknown"
        engines = ", ".join(checkpoint.engines) or "no engine"
        rows.append(
            (checkpoint.id, checkpoint.format, "unknown" if size is None else f"{to_gb(size):,.1f}", bits, engines)
        )
        details.append(checkpoint.note)
    heads = ("checkpoint", "format", "GB>", "bits a parameter>", "runs with")
    note = "GB = 1e9 bytes. The bytes include the draft head, the parameters do not. The command seatrial models lists all."
    return Table("From 8 bits to 2: the same model", heads, tuple(rows), note, tuple(details))


def table_prediction(predictions: Mapping[int, Prediction]) -> Table:
    """Return the expected speed at each number of requests at once, low to high."""
    if not predictions:
        why = "This kit did not plan the server, or its plan does not run: there is nothing to compute from."
        return Table("Nothing is predicted", ("prediction", ""), (("none", why),))
    rows = tuple(
        (
            str(level),
            _interval(prediction.decode_tokens_per_s, format_rate),
            _interval(prediction.ttft_s, format_seconds),
            _interval(prediction.tpot_s, format_seconds),
        )
        for level, prediction in predictions.items()
    )
    basis = list(predictions.values())[-1].basis
    heads = ("requests at once>", "output>", "TTFT>", "TPOT>")
    return Table("Predicted, before anything is measured", heads, rows, f"At the highest level: {basis}")


def table_command(command: Command) -> Table:
    """Return a command, a flag a row with its purpose; if there are several machines, that of the first."""
    argv = machine_commands(command)[0].argv
    first = next((place for place, word in enumerate(argv) if word.startswith("--")), len(argv))
    rows: list[Row] = [("program", shlex.join(argv[:first]), "")]
    rows += [(name, value, _meaning(name) or _meaning("environment")) for name, value in command.env.items()]
    rows += [(flag, value, _meaning(flag)) for flag, value in _flags(argv[first:])]
    return Table(
        f"{command.model} with {command.engine}",
        ("flag", "value", "purpose"),
        tuple(rows),
        placeholders_note(command.nodes),
    )


def table_named() -> Table:
    """Return the machines that can be named: memory, bandwidth and number formats of one accelerator each."""
    rows = tuple(
        (
            one.key,
            one.name,
            f"{one.memory_gb:,.0f} GB" if one.memory_gb else "unknown",
            f"{one.bandwidth_gb_s:,.0f} GB/s" if one.bandwidth_gb_s else "unknown",
            ", ".join(name.upper() for name in ("fp4", "fp8", "bf16") if getattr(one.dense_tflops, name)) or "unknown",
            "one memory with the CPU" if one.unified_memory else "",
        )
        for one in accelerators().values()
        if one.memory_gb is not None  # a chip that was never released cannot be planned with
    )
    heads = ("name", "accelerator", "memory>", "bandwidth>", "computes in", "")
    note = "From data sheets. A machine's name has a count, as in h100x8, or the size of the memory that CPU and GPU share."
    return Table(f"{len(rows)} accelerators can be named", heads, rows, note)


def default_checkpoints(models: Iterable[str]) -> list[Checkpoint]:
    """Return the default checkpoint of each model."""
    return [find_checkpoint(model) for model in models]


def _finding(plans: Sequence[Plan]) -> str:
    """Return one sentence on all plans: ``On h200x4 Flash runs; Pro fits if 338.8 GiB of host memory are free``."""
    machines = {plan.hardware.name for plan in plans}
    if len(machines) == 1:
        return f"On {machines.pop()} {'; '.join(f'{_short_name(plan)} {_outcome(plan)}' for plan in plans)}"
    return "; ".join(f"{_short_name(plan)} on {plan.hardware.name} {_outcome(plan)}" for plan in plans)


def _short_name(plan: Plan) -> str:
    return model_name(plan).removeprefix("DeepSeek-V4-")


def _outcome(plan: Plan) -> str:
    if needs_unknown_host(plan):
        return f"fits if {format_gib(plan.footprint.host_bytes)} of host memory are free"
    if plan.shortfall_bytes:
        return f"needs {format_gib(plan.shortfall_bytes)} more"
    return {"verified": "runs", "fits": "fits"}.get(plan.verdict, "is refused")


def _plan_row(plan: Plan) -> Row:
    speed = plan.prediction.decode_tokens_per_s if plan.prediction else None
    return (
        f"{plan.model}: {plan.checkpoint}",
        VERDICTS[plan.verdict],
        format_gib(plan.need_bytes),
        format_gib(plan.capacity_bytes),
        _interval(speed, format_rate) if speed else "",
    )


def _plan_detail(plan: Plan) -> str:
    place = f"with {plan.engine} on {plan.hardware.times(plan.nodes)}{spread(plan)}"
    change = (plan.smallest_change or "").removeprefix("Smallest change that fits: ")
    return f"{place}{condition(plan)}{f'; would fit: {change}' if change else ''}"


def _interval(interval: Interval | None, form: Callable[[float], str]) -> str:
    return "unknown" if interval is None else f"{form(interval.low)} to {form(interval.high)}"


def _flags(words: Sequence[str]) -> list[tuple[str, str]]:
    """Return flags with their values, from ``--flag=value`` and from ``--flag value``."""
    return [(flag, value or "") for flag, value in Flags.from_words(words).items()]


def _meaning(flag: str) -> str:
    return _meanings().get(flag, "")


@cache
def _meanings() -> dict[str, str]:
    text = files("seatrial.view.tables").joinpath("flags.json").read_bytes()
    return dict(parse_json(text)["flags"])
