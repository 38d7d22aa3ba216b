"""Weights, KV cache, state and reserve of a checkpoint: what it takes to serve it, in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil
from typing import Any

from seatrial.catalog import Checkpoint
from seatrial.catalog.engine_facts import loaders, planned_as
from seatrial.errors import UnknownNameError, UsageError
from seatrial.memory import kv
from seatrial.memory.offload import place_layers
from seatrial.memory.options import ENGINES, Options, read_options
from seatrial.memory.ranks import RankWeights, context_note, rank_weights, stage_share
from seatrial.memory.reserve import assumptions, over_gpus, reserve_of
from seatrial.memory.shape import Shape, read_shape
from seatrial.memory.subject import ModelBytes, config_subject, model_bytes_of
from seatrial.memory.tensors import count_parameters_of
from seatrial.memory.types import Footprint, Parallelism

_MAX_CONCURRENCY = 1 << 20
_REMEMBERED = 8192
"""Footprints that are kept."""


def compute_footprint(  # noqa: PLR0913 -- one keyword for each thing that changes bytes
    checkpoint: Checkpoint,
    *,
    engine: str | None = None,
    context_tokens: int | None = None,
    concurrency: int = 1,
    parallelism: Parallelism = Parallelism(),  # noqa: B008 -- frozen
    options: Mapping[str, Any] | Options | None = None,
) -> Footprint:
    """Bytes of a checkpoint while it is served.

    Args:
        checkpoint: From ``find_checkpoint``.
        engine: ``sglang``, ``vllm``, ``llamacpp``, ``mlx`` or ``simulated``; by default the first
            that loads the checkpoint.
        context_tokens: Context of each request; 8,192 (or the model's, where that is less) by default.
        concurrency: Requests held at once.
        parallelism: How the work is split among GPUs.
        options: Engine settings by name (``seatrial footprint --help`` lists them), or read already.

    Returns:
        The footprint, with the origin of its weight bytes. Whether a machine offers that much, and
        whether the engine accepts the checkpoint, is the planner's question.

    Raises:
        UsageError: An unknown engine or option, an absurd number, or a checkpoint whose size
            nobody has published.
        RefusedError: The checkpoint is of an architecture these formulas do not describe.
        ModelFileError: The checkpoint's own config is malformed.

    """
    subject = model_bytes_of(checkpoint)
    chosen = engine or (checkpoint.engines[0] if checkpoint.engines else loaders(checkpoint.format)[0])
    footprint = _footprint(subject, chosen, context_tokens, concurrency, parallelism, options)
    if planned_as(chosen) in {*checkpoint.engines, "simulated"}:
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
    options: Mapping[str, Any] | Options | None = None,
    source: str = "config.json",
) -> Footprint:
    """Bytes of a ``deepseek_v4`` model from its config.json alone; see ``compute_footprint``.

    Raises:
        RefusedError: The config is of another architecture.
        ModelFileError: A field is missing or absurd.
        UsageError: An unknown engine or option, or an absurd number.

    """
    return _footprint(config_subject(config, source), engine, context_tokens, concurrency, parallelism, options)


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


def _footprint(  # noqa: PLR0913, PLR0917
    subject: ModelBytes,
    engine: str,
    context_tokens: int | None,
    concurrency: int,
    parallelism: Parallelism,
    options: Mapping[str, Any] | Options | None,
) -> Footprint:
    if engine not in ENGINES:
        raise UnknownNameError("engine", engine, ENGINES)
    engine = planned_as(engine)
    chosen, parallelism = read_options(options, parallelism)
    context = _context(subject, context_tokens)
    _check_draft(subject.shape, chosen.speculative)
    layers = int(subject.config["num_hidden_layers"])
    # llama.cpp leaves GPUs empty where there are fewer layers; the others cannot form such stages.
    if engine != "llamacpp" and parallelism.pipeline > layers:
        raise UsageError(
            f"{layers} layers cannot be cut into {parallelism.pipeline} stages.",
            remedy=f"Choose pipeline_parallel = {layers} at most.",
        )
    if not 1 <= concurrency <= _MAX_CONCURRENCY:
        raise UsageError(
            f"concurrency = {concurrency} is not a whole number from 1 to {_MAX_CONCURRENCY:,}.",
            remedy="Give the number of requests held at once.",
        )
    return _computed(subject, engine, context, concurrency, parallelism, chosen)


@lru_cache(maxsize=_REMEMBERED)
def _computed(  # noqa: PLR0913, PLR0917
    subject: ModelBytes, engine: str, context: int, concurrency: int, parallelism: Parallelism, options: Options
) -> Footprint:
    """The sums; many machines, and many ways to look at one, ask for the same."""
    replicas = min(parallelism.data, concurrency)
    load = kv.CacheLoad(context, ceil(concurrency / parallelism.data))
    caches = _caches(subject, engine, load, options)
    kv_bytes, state_bytes = sum(caches.kv.values()) * replicas, sum(caches.state.values()) * replicas
    width = subject.config["hidden_size"]
    reserve = reserve_of(subject.shape, width, engine, load, options.ubatch_tokens, options.batched_tokens)
    placed = _placed(subject, engine, caches, reserve.expected, parallelism, options)
    # Without a layer on a GPU one compute buffer lies in host memory.
    gpus = parallelism.tensor * parallelism.pipeline if placed.per_gpu else 1
    reserved = over_gpus(reserve, gpus)
    return Footprint(
        weights_bytes=subject.weights_bytes,
        kv_bytes=kv_bytes,
        state_bytes=state_bytes,
        reserve_bytes=reserve.expected * gpus,
        total_bytes=subject.weights_bytes + kv_bytes + state_bytes + reserve.expected * gpus,
        per_gpu_bytes=sum(placed.per_gpu.values()),
        host_bytes=placed.host_bytes,
        by_class=dict(subject.weights.by_class),
        kv_by_class={name: size * replicas for name, size in {**caches.kv, **caches.state}.items()},
        parameters_total=subject.parameters[0],
        parameters_active=subject.parameters[1],
        context_tokens=context,
        concurrency=concurrency,
        engine=engine,
        origin=subject.weights.origin,
        source=subject.weights.source,
        stored_elements=subject.weights.elements,
        notes=_notes(subject, engine, shared=options.context_parallel > 1),
        reserve_interval=reserved.interval,
        reserve_by_part=dict(reserved.parts),
        per_gpu_by_part=placed.per_gpu,
    )


def _context(subject: ModelBytes, context_tokens: int | None) -> int:
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


def _caches(subject: ModelBytes, engine: str, load: kv.CacheLoad, options: Options) -> kv.Caches:
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


@dataclass(frozen=True, slots=True)
class _Placed:
    """Bytes of the fullest GPU by what they are (empty without one), and bytes in host memory."""

    per_gpu: dict[str, int]
    host_bytes: int


def _placed(  # noqa: PLR0913, PLR0917
    subject: ModelBytes,
    engine: str,
    caches: kv.Caches,
    reserve: int,
    parallelism: Parallelism,
    options: Options,
) -> _Placed:
    kv_bytes, state_bytes = sum(caches.kv.values()), sum(caches.state.values())
    layers = int(subject.config["num_hidden_layers"])
    gpus = parallelism.tensor * parallelism.pipeline
    if engine == "llamacpp":
        split = place_layers(subject.weights.by_class, kv_bytes + state_bytes, layers, options)
        if not split.gpu_bytes:
            return _Placed({}, split.host_bytes + reserve)
        # Layers go to the GPUs whole, their caches with them.
        return _Placed({"layers": ceil(split.gpu_bytes / gpus), "reserve": reserve}, split.host_bytes)
    share = stage_share(layers, parallelism.pipeline)
    kept = rank_weights(subject.shape, parallelism) if subject.shape else RankWeights(1 / gpus, 0.0)
    sharded = ceil(subject.weights_bytes * kept.sharded)
    return _Placed(
        {
            "weights_sharded": sharded,
            "weights_replicated": ceil(subject.weights_bytes * (kept.sharded + kept.replicated)) - sharded,
            # One KV head: only replicas, stages and context parallelism share the cache out.
            "kv": ceil(kv_bytes * share / options.context_parallel),
            "state": ceil(state_bytes * share),
            "reserve": reserve,
        },
        0,
    )


@lru_cache(maxsize=_REMEMBERED)
def _notes(subject: ModelBytes, engine: str, *, shared: bool) -> tuple[str, ...]:
    found = [
        *subject.weights.notes,
        f"Caches: {kv.kv_source(engine)}.",
        f"The reserve is assumed ({assumptions()['engines'][engine]['basis']}).",
    ]
    if shared:
        found.append(context_note(engine))
    return tuple(found)
