"""Weights, KV cache, state and reserve of a checkpoint: what it takes to serve it, in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from math import ceil
from typing import Any

from seatrial.catalog import Checkpoint, model_of
from seatrial.errors import RefusedError, UnknownNameError, UsageError
from seatrial.memory import kv
from seatrial.memory.offload import place_layers
from seatrial.memory.options import ENGINES, Options, read_options
from seatrial.memory.ranks import rank_weights, stage_share
from seatrial.memory.reserve import assumptions, reserve_of
from seatrial.memory.shape import Shape, read_shape
from seatrial.memory.tensors import count_parameters_of, layout_source, stored_elements, weights_by_class
from seatrial.memory.types import Footprint, Parallelism
from seatrial.records import Interval, Origin

MAX_CONCURRENCY = 1 << 20
DEFAULT_ENGINES = {"safetensors": "sglang", "gguf": "llamacpp", "mlx": "mlx"}
"""Whose layout is shown where no engine loads the checkpoint."""


@dataclass(frozen=True, slots=True)
class _Weights:
    """Weights of a checkpoint, wherever they were read."""

    by_class: dict[str, int]
    origin: Origin
    source: str
    notes: tuple[str, ...] = ()
    elements: int | None = None

    @property
    def total(self) -> int:
        """Bytes of all of them."""
        return sum(self.by_class.values())


@dataclass(frozen=True, slots=True)
class _Subject:
    """A model and how it is to be served."""

    config: Mapping[str, Any]
    shape: Shape | None
    weights: _Weights
    context_limit: int
    parameters: tuple[int | None, int | None]


def compute_footprint(  # noqa: PLR0913 -- one keyword for each thing that changes bytes
    checkpoint: Checkpoint,
    *,
    engine: str | None = None,
    context_tokens: int | None = None,
    concurrency: int = 1,
    parallelism: Parallelism = Parallelism(),  # noqa: B008 -- frozen
    options: Mapping[str, Any] | None = None,
) -> Footprint:
    """Bytes of a checkpoint while it is served.

    Args:
        checkpoint: From ``find_checkpoint``.
        engine: ``sglang``, ``vllm``, ``llamacpp``, ``mlx`` or ``simulated``; by default the first
            that loads the checkpoint.
        context_tokens: Context of each request; 8,192 (or the model's, where that is less) by default.
        concurrency: Requests held at once.
        parallelism: How the work is split among GPUs.
        options: Engine settings by name; ``seatrial footprint --help`` lists them.

    Returns:
        The footprint, with the origin of its weight bytes. Whether a machine offers that much, and
        whether the engine accepts the checkpoint, is the planner's question.

    Raises:
        UsageError: An unknown engine or option, an absurd number, or a checkpoint whose size
            nobody has published.
        RefusedError: The checkpoint is of an architecture these formulas do not describe.
        ModelFileError: The checkpoint's own config is malformed.

    """
    subject = _subject_of(checkpoint)
    chosen = engine or (checkpoint.engines[0] if checkpoint.engines else DEFAULT_ENGINES[checkpoint.format])
    footprint = _footprint(subject, chosen, context_tokens, concurrency, parallelism, options)
    if chosen in {*checkpoint.engines, "simulated"}:
        return footprint
    loads = f"{' and '.join(checkpoint.engines)} can" if checkpoint.engines else checkpoint.note
    return replace(footprint, notes=(f"{chosen} does not load this checkpoint: {loads}.", *footprint.notes))


def config_footprint(  # noqa: PLR0913
    config: dict[str, Any],
    *,
    engine: str = "sglang",
    context_tokens: int | None = None,
    concurrency: int = 1,
    parallelism: Parallelism = Parallelism(),  # noqa: B008 -- frozen
    options: Mapping[str, Any] | None = None,
    source: str = "config.json",
) -> Footprint:
    """Bytes of a ``deepseek_v4`` model from its config.json alone; see ``compute_footprint``.

    Raises:
        RefusedError: The config is of another architecture.
        ModelFileError: A field is missing or absurd.
        UsageError: An unknown engine or option, or an absurd number.

    """
    shape = read_shape(config)
    notes = (f"Storage: {layout_source(shape.layout)}.",)
    how = f"sum over the tensors of {source}"
    weights = _Weights(weights_by_class(shape), "derived", how, notes, stored_elements(shape))
    subject = _Subject(config, shape, weights, shape.max_position_embeddings, count_parameters_of(shape))
    return _footprint(subject, engine, context_tokens, concurrency, parallelism, options)


def count_parameters(config: dict[str, Any]) -> tuple[int, int]:
    """Parameters of a ``deepseek_v4`` config, without its draft head.

    Returns:
        All parameters, and those used for one token (routed experts chosen, input embedding not
        counted). A packed byte of two FP4 values counts as two, a scale or an integer table as none.

    Raises:
        RefusedError: The config is of another architecture.
        ModelFileError: A field is missing or absurd.

    """
    return count_parameters_of(read_shape(config))


def _subject_of(checkpoint: Checkpoint) -> _Subject:
    model = model_of(checkpoint)
    if model.architecture not in {"deepseek_v4", "llama"}:
        raise RefusedError(
            f"{checkpoint.id} is {model.name}, {checkpoint.note or model.architecture}.",
            remedy="Choose a checkpoint of DeepSeek V4; `seatrial models` lists them.",
        )
    if checkpoint.weights_bytes is None:
        raise UsageError(
            f"Nobody has published the size of {checkpoint.id}, and it is not guessed here.",
            remedy="Give the path of a local copy: its headers hold the exact bytes. Or choose another checkpoint.",
        )
    config = {**model.config, **checkpoint.config}
    if model.architecture == "llama":
        by_class = checkpoint.weights_by_class or {"weights": checkpoint.weights_bytes}
        weights = _Weights(by_class, checkpoint.origin, checkpoint.source)
        counted = (model.parameters_total, model.parameters_active)
        return _Subject(config, None, weights, model.context_tokens, counted)
    shape = read_shape(config, storage_known=bool(checkpoint.weights_by_class) or checkpoint.format != "safetensors")
    weights = _v4_weights(checkpoint, shape, checkpoint.weights_bytes)
    return _Subject(config, shape, weights, model.context_tokens, count_parameters_of(shape))


def _v4_weights(checkpoint: Checkpoint, shape: Shape, total: int) -> _Weights:
    if checkpoint.weights_by_class:
        return _Weights(checkpoint.weights_by_class, checkpoint.origin, checkpoint.source)
    if checkpoint.format == "safetensors":
        by_class = weights_by_class(shape)
        if sum(by_class.values()) == total:
            return _Weights(by_class, checkpoint.origin, checkpoint.source, elements=stored_elements(shape))
        note = "The classes are not known: the published size differs from the sum over the config's tensors."
        return _Weights({"weights": total}, checkpoint.origin, checkpoint.source, (note,))
    bits = assumptions()["gguf"]["dense_bits"]
    dense = _dense_parameters(shape) * bits.get(checkpoint.precision, bits["default"]) / 8
    rest = min(total, round(dense))
    note = f"The split into experts and rest is assumed ({assumptions()['gguf']['basis']})."
    return _Weights({"experts": total - rest, "rest": rest}, checkpoint.origin, checkpoint.source, (note,))


@cache
def _dense_parameters(shape: Shape) -> int:
    expert = 3 * shape.hidden_size * shape.moe_intermediate_size
    return count_parameters_of(shape)[0] - expert * shape.n_routed_experts * shape.num_hidden_layers


def _footprint(  # noqa: PLR0913, PLR0917
    subject: _Subject,
    engine: str,
    context_tokens: int | None,
    concurrency: int,
    parallelism: Parallelism,
    options: Mapping[str, Any] | None,
) -> Footprint:
    if engine not in ENGINES:
        raise UnknownNameError("engine", engine, ENGINES)
    chosen, parallelism = read_options(options, parallelism)
    context = _context(subject, context_tokens)
    _check_draft(subject.shape, chosen.speculative)
    if not 1 <= concurrency <= MAX_CONCURRENCY:
        raise UsageError(
            f"concurrency = {concurrency} is not a whole number from 1 to {MAX_CONCURRENCY:,}.",
            remedy="Give the number of requests held at once.",
        )
    replicas = min(parallelism.data, concurrency)
    load = kv.Load(context, ceil(concurrency / parallelism.data))
    caches = _caches(subject, engine, load, chosen)
    by_cache = {name: size * replicas for name, size in {**caches.kv, **caches.state}.items()}
    kv_bytes, state_bytes = sum(caches.kv.values()) * replicas, sum(caches.state.values()) * replicas
    gpus = parallelism.tensor * parallelism.pipeline
    reserve = reserve_of(subject.shape, subject.config["hidden_size"], engine, load, chosen.ubatch_tokens)
    per_gpu, host = _placement(subject, engine, caches, reserve.expected, parallelism, chosen)
    gpus = gpus if per_gpu else 1  # without a layer on a GPU one compute buffer lies in host memory
    total = subject.weights.total
    return Footprint(
        weights_bytes=total,
        kv_bytes=kv_bytes,
        state_bytes=state_bytes,
        reserve_bytes=reserve.expected * gpus,
        total_bytes=total + kv_bytes + state_bytes + reserve.expected * gpus,
        per_gpu_bytes=per_gpu,
        host_bytes=host,
        by_class=dict(subject.weights.by_class),
        kv_by_class=by_cache,
        parameters_total=subject.parameters[0],
        parameters_active=subject.parameters[1],
        context_tokens=context,
        concurrency=concurrency,
        engine=engine,
        origin=subject.weights.origin,
        source=subject.weights.source,
        stored_elements=subject.weights.elements,
        notes=(
            *subject.weights.notes,
            f"Caches: {kv.kv_source(engine)}.",
            f"The reserve is assumed ({assumptions()['engines'][engine]['basis']}).",
        ),
        reserve_interval=Interval(reserve.low * gpus, reserve.expected * gpus, reserve.high * gpus),
    )


def _context(subject: _Subject, context_tokens: int | None) -> int:
    if context_tokens is None:
        return min(int(assumptions()["default_context_tokens"]), subject.context_limit)
    if not 1 <= context_tokens <= subject.context_limit:
        raise UsageError(
            f"A context of {context_tokens:,} tokens is not possible: the model takes 1 to {subject.context_limit:,}.",
            remedy="Choose a smaller context.",
        )
    return context_tokens


def _check_draft(shape: Shape | None, speculative: str) -> None:
    draft = shape.draft if shape else None
    if speculative not in {"none", draft}:
        raise UsageError(
            f"speculative = {speculative}, but the checkpoint holds {f'a {draft} head' if draft else 'no draft head'}.",
            remedy=f"Choose speculative={draft or 'none'}.",
        )


def _caches(subject: _Subject, engine: str, load: kv.Load, options: Options) -> kv.Caches:
    shape = subject.shape
    if shape is None:
        return kv.llama_caches(subject.config, load, engine=engine, cache_type=options.cache_type)
    if engine == "llamacpp":
        return kv.llamacpp_caches(shape, load, cache_type=options.cache_type, ubatch_tokens=options.ubatch_tokens)
    if engine == "sglang":
        return kv.sglang_caches(
            shape,
            load,
            swa_ratio=options.swa_ratio,
            speculative=options.speculative != "none",
            max_running=options.max_running_requests or load.requests,
        )
    if engine == "vllm":
        return kv.vllm_caches(shape, load, fp4_indexer=options.indexer_type == "fp4")
    return kv.plain_caches(shape, load)


def _placement(  # noqa: PLR0913, PLR0917
    subject: _Subject,
    engine: str,
    caches: kv.Caches,
    reserve: int,
    parallelism: Parallelism,
    options: Options,
) -> tuple[int, int]:
    """Bytes on the fullest GPU, and in host memory."""
    cache_bytes = sum(caches.kv.values()) + sum(caches.state.values())
    layers = int(subject.config["num_hidden_layers"])
    gpus = parallelism.tensor * parallelism.pipeline
    if engine == "llamacpp":
        placed = place_layers(subject.weights.by_class, cache_bytes, layers, options)
        per_gpu = ceil(placed.gpu_bytes / gpus) + reserve if placed.gpu_bytes else 0
        return per_gpu, placed.host_bytes + (0 if placed.gpu_bytes else reserve)
    share = stage_share(layers, parallelism.pipeline)
    weights = ceil(subject.weights.total / gpus)
    if subject.shape is not None:
        # Files stored in another way than the config says are split in the same proportions.
        whole = sum(weights_by_class(subject.shape).values())
        weights = ceil(rank_weights(subject.shape, parallelism) * (subject.weights.total / whole))
    return weights + ceil(cache_bytes * share) + reserve, 0
