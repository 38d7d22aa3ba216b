"""Memory it takes to serve a checkpoint, in bytes: weights, KV cache, state and reserve."""

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
from seatrial.memory.model_bytes import ModelBytes, bytes_of_config, model_bytes_of
from seatrial.memory.offload import offloaded_bytes, tensor_split_bytes
from seatrial.memory.options import ENGINES, Options, read_options
from seatrial.memory.ranks import RankWeights, context_note, rank_weights, stage_share, table_bytes
from seatrial.memory.reserve import over_gpus, reserve_of
from seatrial.memory.shape import AnyShape, Shape, read_shape
from seatrial.memory.tables import table
from seatrial.memory.types import Footprint, Parallelism
from seatrial.memory.v41_caches import engram_place, v41_plain_caches, v41_sglang_caches, v41_vllm_caches
from seatrial.memory.v41_shape import V41Shape
from seatrial.memory.vllm_pool import vllm_caches
from seatrial.memory.weights import count_parameters_of
from seatrial.units import GIB

_DEFAULT_CONTEXT_TOKENS = 8192
_MAX_CONCURRENCY = 1 << 20
_CACHE_SIZE = 8192
"""Footprints remembered: many machines, and many ways to look at one, ask for the same."""


def compute_footprint(  # noqa: PLR0913 -- one keyword for each choice that changes bytes
    checkpoint: Checkpoint,
    *,
    engine: str | None = None,
    context_tokens: int | None = None,
    concurrency: int = 1,
    parallelism: Parallelism = Parallelism(),  # noqa: B008 -- frozen
    options: Mapping[str, Any] | Options | None = None,
) -> Footprint:
    """Return the bytes a checkpoint takes while an engine serves it.

    Args:
        checkpoint: From ``find_checkpoint``.
        engine: ``sglang``, ``vllm``, ``llamacpp``, ``mlx`` or ``simulated``; by default the first
            that loads the checkpoint.
        context_tokens: Context of each request; by default 8,192, or the model's if that is less.
        concurrency: Requests served at once.
        parallelism: Split of the work among GPUs.
        options: Engine settings by name (``seatrial footprint --help`` lists them), or already read.

    Returns:
        The footprint, with the origin of its weight bytes. The planner answers whether a machine offers that much, and
        whether the engine accepts the checkpoint.

    Raises:
        UsageError: If an engine or option is unknown, a number is absurd, or nobody has published the size of the
            checkpoint.
        RefusedError: If these formulas do not describe the checkpoint's architecture.
        ModelFileError: If the checkpoint's own config is malformed.

    """
    model = model_bytes_of(checkpoint)
    chosen = engine or (checkpoint.engines[0] if checkpoint.engines else loaders(checkpoint.format)[0])
    footprint = _computed(
        model, _serving(model, chosen, context_tokens, concurrency, read_options(options, parallelism))
    )
    if planned_as(chosen) in {*checkpoint.engines, "simulated"}:
        return footprint
    loads = f"{' and '.join(checkpoint.engines)} can" if checkpoint.engines else checkpoint.note
    return replace(footprint, notes=(f"{chosen} does not load this checkpoint: {loads}.", *footprint.notes))


def config_footprint(  # noqa: PLR0913 -- the same choices
    config: dict[str, Any],
    *,
    engine: str = "sglang",
    context_tokens: int | None = None,
    concurrency: int = 1,
    parallelism: Parallelism = Parallelism(),  # noqa: B008 -- frozen
    options: Mapping[str, Any] | Options | None = None,
    source: str = "config.json",
) -> Footprint:
    """Return the bytes of a ``deepseek_v4`` or ``deepseek_v41`` model from its config.json only; see ``compute_footprint``.

    Raises:
        RefusedError: If the config is of another architecture.
        ModelFileError: If a field is missing or absurd.
        UsageError: If an engine or option is unknown, or a number is absurd.

    """
    model = bytes_of_config(config, source)
    return _computed(model, _serving(model, engine, context_tokens, concurrency, read_options(options, parallelism)))


def count_parameters(config: dict[str, Any]) -> tuple[int, int]:
    """Return the parameters of a ``deepseek_v4`` or ``deepseek_v41`` config, without draft head and Engram tables.

    Returns:
        All parameters, and those used for one token of text (routed experts chosen, input embedding not
        counted). A packed byte of two FP4 values counts as two, a scale or an integer table as none.

    Raises:
        RefusedError: If the config is of another architecture.
        ModelFileError: If a field is missing or absurd.

    """
    return count_parameters_of(read_shape(config))


@dataclass(frozen=True, slots=True)
class _Serving:
    """Choices a footprint is computed for, all checked against the model."""

    engine: str
    context_tokens: int
    concurrency: int
    options: Options
    parallelism: Parallelism


def _serving(
    model: ModelBytes,
    engine: str,
    context_tokens: int | None,
    concurrency: int,
    read: tuple[Options, Parallelism],
) -> _Serving:
    options, parallelism = read
    if engine not in ENGINES:
        raise UnknownNameError("engine", engine, ENGINES)
    engine = planned_as(engine)
    context = _context(model, context_tokens)
    _check_draft(model.shape, options.speculative)
    layers = int(model.config["num_hidden_layers"])
    # llama.cpp leaves GPUs empty if there are fewer layers; the others cannot form such stages.
    if engine != "llamacpp" and parallelism.pipeline > layers:
        raise UsageError(
            f"{layers} layers cannot be cut into {parallelism.pipeline} stages.",
            remedy=f"Choose pipeline_parallel = {layers} at most.",
        )
    if not 1 <= concurrency <= _MAX_CONCURRENCY:
        raise UsageError(
            f"concurrency = {concurrency} is not a whole number from 1 to {_MAX_CONCURRENCY:,}.",
            remedy="Give the number of requests served at once.",
        )
    return _Serving(engine, context, concurrency, options, parallelism)


def _context(model: ModelBytes, context_tokens: int | None) -> int:
    if context_tokens is None:
        return min(_DEFAULT_CONTEXT_TOKENS, model.context_limit)
    if not 1 <= context_tokens <= model.context_limit:
        raise UsageError(
            f"A context of {context_tokens:,} tokens is not possible: the model takes 1 to {model.context_limit:,}.",
            remedy="Choose a smaller context.",
        )
    return context_tokens


def _check_draft(shape: AnyShape | None, speculative: str) -> None:
    draft = shape.draft if shape else None
    if speculative not in {"none", draft}:
        raise UsageError(
            f"speculative = {speculative}, but the checkpoint holds {f'a {draft} head' if draft else 'no draft head'}.",
            remedy=f"Choose speculative={draft or 'none'}.",
        )


@lru_cache(maxsize=_CACHE_SIZE)
def _computed(model: ModelBytes, serving: _Serving) -> Footprint:
    options, parallelism = serving.options, serving.parallelism
    replicas = min(parallelism.data, serving.concurrency)
    load = kv.CacheLoad(serving.context_tokens, ceil(serving.concurrency / parallelism.data))
    caches = _caches(model, serving.engine, load, options)
    kv_bytes, state_bytes = sum(caches.kv.values()) * replicas, sum(caches.state.values()) * replicas
    reserve = reserve_of(model, serving.engine, load, options.ubatch_tokens, options.batched_tokens)
    per_gpu, host_bytes = _placed(model, serving, caches, int(reserve.interval.expected))
    # Without a layer on a GPU one compute buffer is in host memory.
    reserves = over_gpus(reserve, parallelism.tensor * parallelism.pipeline if per_gpu else 1)
    reserve_bytes = int(reserves.interval.expected)
    return Footprint(
        weights_bytes=model.weights_bytes,
        kv_bytes=kv_bytes,
        state_bytes=state_bytes,
        reserve_bytes=reserve_bytes,
        total_bytes=model.weights_bytes + kv_bytes + state_bytes + reserve_bytes,
        per_gpu_bytes=sum(per_gpu.values()),
        host_bytes=host_bytes,
        by_class=dict(model.weights.by_class),
        kv_by_class={name: size * replicas for name, size in {**caches.kv, **caches.state}.items()},
        parameters_total=model.parameters[0],
        parameters_active=model.parameters[1],
        context_tokens=serving.context_tokens,
        concurrency=serving.concurrency,
        engine=serving.engine,
        origin=model.weights.origin,
        source=model.weights.source,
        stored_elements=model.weights.elements,
        notes=_notes(model, serving.engine, split_cache=options.context_parallel > 1),
        reserve_interval=reserves.interval,
        reserve_by_part=dict(reserves.parts),
        per_gpu_by_part=per_gpu,
    )


def _caches(model: ModelBytes, engine: str, load: kv.CacheLoad, options: Options) -> kv.Caches:
    shape = model.shape
    if shape is None:
        return kv.llama_caches(model.config, load, engine=engine, cache_type=options.cache_type)
    if isinstance(shape, V41Shape):
        return _v41_caches(shape, engine, load, options)
    if engine == "llamacpp":
        return kv.llamacpp_caches(
            shape,
            load,
            cache_type=options.cache_type,
            ubatch_tokens=options.ubatch_tokens,
            draft_tokens=options.draft_tokens,
        )
    if engine == "sglang":
        return kv.sglang_caches(
            shape,
            load,
            swa_ratio=options.swa_ratio,
            speculative=options.speculative != "none",
            max_running=options.max_running_requests or load.requests,
        )
    if engine == "vllm":
        return vllm_caches(shape, load, fp4_indexer=options.indexer_type == "fp4")
    return kv.mlx_caches(shape, load) if engine == "mlx" else kv.plain_caches(shape, load)


def _v41_caches(shape: V41Shape, engine: str, load: kv.CacheLoad, options: Options) -> kv.Caches:
    if engine == "sglang":
        return v41_sglang_caches(
            shape,
            load,
            kv_layout=options.kv_layout,
            speculative=options.speculative != "none",
            max_running=options.max_running_requests or load.requests,
        )
    return v41_vllm_caches(shape, load) if engine == "vllm" else v41_plain_caches(shape, load)


def _placed(model: ModelBytes, serving: _Serving, caches: kv.Caches, reserve: int) -> tuple[dict[str, int], int]:
    """Return the bytes on the fullest GPU by purpose (empty without one), and the bytes in host memory."""
    options, parallelism = serving.options, serving.parallelism
    kv_bytes, state_bytes = sum(caches.kv.values()), sum(caches.state.values())
    layers = int(model.config["num_hidden_layers"])
    gpus = parallelism.tensor * parallelism.pipeline
    if serving.engine == "llamacpp" and parallelism.tensor > 1 and isinstance(model.shape, Shape):
        divided, host = tensor_split_bytes(model.weights.by_class, model.shape)
        return {
            "weights_sharded": ceil(divided / parallelism.tensor),
            "weights_replicated": model.weights_bytes - host - divided,
            "kv": kv_bytes,  # one KV head: every GPU holds it
            "state": state_bytes,
            "reserve": reserve,
        }, host
    if serving.engine == "llamacpp":
        split = offloaded_bytes(model.weights.by_class, kv_bytes + state_bytes, layers, options)
        if not split.gpu:
            return {}, split.host + reserve
        # A layer is never split: it goes to one GPU, and its caches with it.
        return {"layers": ceil(split.gpu / gpus), "reserve": reserve}, split.host
    share = stage_share(layers, parallelism.pipeline)
    on_host = isinstance(model.shape, V41Shape) and engram_place(serving.engine, options.engram) == "host"
    weights = RankWeights(1 / gpus, 0.0)
    if model.shape:
        weights = rank_weights(model.shape, parallelism, tables_on_host=on_host)
    sharded = ceil(model.weights_bytes * weights.sharded)
    offloaded = min(sharded, options.cpu_offload_gib * GIB)
    per_gpu = {
        "weights_sharded": sharded - offloaded,
        "weights_replicated": ceil(model.weights_bytes * (weights.sharded + weights.replicated)) - sharded,
        # One KV head: only replicas, stages and context parallelism split the cache.
        "kv": ceil(kv_bytes * share / options.context_parallel),
        "state": ceil(state_bytes * share),
        "reserve": reserve,
    }
    return per_gpu, offloaded * gpus + (table_bytes(model.shape) if model.shape and on_host else 0)


@lru_cache(maxsize=_CACHE_SIZE)
def _notes(model: ModelBytes, engine: str, *, split_cache: bool) -> tuple[str, ...]:
    notes = (
        *model.weights.notes,
        f"Caches: {kv.kv_source(engine)}.",
        f"The reserve is assumed ({table('reserve')['engines'][engine]['basis']}).",
    )
    return (*notes, context_note(engine)) if split_cache else notes
