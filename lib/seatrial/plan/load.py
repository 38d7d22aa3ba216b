"""Work of a checkpoint and load of the requests, which a prediction is for."""

from __future__ import annotations

from functools import lru_cache

from seatrial.catalog.types import Checkpoint, Model
from seatrial.memory.model_bytes import CACHED_CHECKPOINTS, ModelBytes, model_bytes_of
from seatrial.plan.candidate import Candidate
from seatrial.plan.request import Request
from seatrial.plan.types import TENSOR_PARALLEL
from seatrial.speed import ServingLoad, Work
from seatrial.speed.acceptance import accepted_tokens
from seatrial.speed.attention import attention_of
from seatrial.speed.work import benchmark_requests

# Prompt and answer tokens: of the published runs (shorter contexts are divided in the same proportion), of one person
# chatting on a workstation, and of the kit's own first measurement.
_SERVER_LOAD, _LOCAL_LOAD, _STAND_IN_LOAD = (8192, 1024), (512, 256), (128, 64)
_NOT_READ_THROUGH = frozenset({"embeddings", "draft", "hash_tables"})
"""Classes whose bytes a decode step does not read through: rows are looked up, drafts run apart."""
_SCALED_BYTES = {"fp4": 16, "nvfp4": 8}
"""Bytes of packed four-bit values that share a scale byte: 32 values in MXFP4, 16 in NVFP4."""


def work_of(checkpoint: Checkpoint) -> Work:
    """Return what the model reads and computes, from the bytes of its classes."""
    return _work_of(model_bytes_of(checkpoint), checkpoint.precision)


@lru_cache(maxsize=CACHED_CHECKPOINTS)
def _work_of(subject: ModelBytes, precision: str) -> Work:
    config, classes = subject.config, subject.weights.by_class
    experts = classes.get("experts", 0)
    scales = classes.get("scales", 0)
    # An embedding that is the output head too is read through for the head.
    unread = _NOT_READ_THROUGH - ({"embeddings"} if config.get("tie_word_embeddings") else set())
    dense = subject.weights_bytes - experts - scales - sum(classes.get(name, 0) for name in unread)
    if experts and scales:
        # Nearly all scales of packed experts are theirs, a byte for so many bytes of values. FP8 has few.
        packed = _SCALED_BYTES.get(precision)
        own = experts // packed if packed else round(scales * experts / (experts + dense))
        experts, dense = experts + min(own, scales), dense + scales - min(own, scales)
    count = int(config.get("n_routed_experts", 0)) if experts else 0
    chosen = int(config.get("num_experts_per_tok", 0))
    layers = int(config["num_hidden_layers"])
    # Gate, up and down projection of each chosen expert.
    routed = 3 * layers * chosen * config["hidden_size"] * config["moe_intermediate_size"] if count else 0
    return Work(
        dense_bytes=dense,
        expert_bytes=experts,
        experts=count,
        experts_per_token=chosen,
        layers=layers,
        active_parameters=subject.parameters[1] or round(dense + (experts * chosen / count if count else 0)),
        routed_parameters=routed,
        precision=precision,
        attention=attention_of(config),
    )


def usual_load(model: Model, engine: str) -> tuple[int, int]:
    """Return the prompt and answer tokens of a prediction if none are asked for."""
    if model.role == "stand-in":
        return _STAND_IN_LOAD
    return _SERVER_LOAD if engine in TENSOR_PARALLEL else _LOCAL_LOAD


def lengths_of(request: Request, model: Model, engine: str, context_tokens: int) -> tuple[int, int]:
    """Return prompt and answer tokens of a prediction: those asked for, else the usual ones, cut down to the context."""
    usual = usual_load(model, engine)
    prompt, answer = request.prompt_tokens or usual[0], request.answer_tokens or usual[1]
    if context_tokens < prompt + answer:
        # The only length asked for stays. Two that no longer fit, as those of another engine's load, shrink alike.
        if bool(request.prompt_tokens) == bool(request.answer_tokens):
            prompt = max(1, context_tokens * prompt // (prompt + answer))
        elif request.answer_tokens:
            prompt = max(1, context_tokens - answer)
    return prompt, max(1, min(answer, context_tokens - prompt))


def load_of(
    candidate: Candidate, context_tokens: int, *, running_limit: int, draft_tokens: int = 0, draft_method: str = "mtp"
) -> ServingLoad:
    """Return the load a prediction is for.

    A server on GPUs is predicted in SGLang's benchmark: lengths drawn evenly up to these, and a run that ends. Other
    engines are predicted with requests of just these lengths, without end.

    Args:
        candidate: What is served.
        context_tokens: Context of each request.
        running_limit: Requests that run at once at most.
        draft_tokens: Tokens drafted each step.
        draft_method: What drafts them, ``mtp`` or ``dspark``.

    """
    request, as_published = candidate.request, candidate.engine in TENSOR_PARALLEL
    prompt, answer = lengths_of(request, candidate.model, candidate.engine, context_tokens)
    accepted = None
    if draft_tokens and not as_published:
        accepted = accepted_tokens(
            draft_tokens, draft_method, workload=None, model=candidate.model.id, engine="llamacpp"
        )
    return ServingLoad(
        concurrency=request.concurrency,
        running_limit=max(1, running_limit),
        prompt_tokens=prompt,
        answer_tokens=answer,
        draft_tokens=draft_tokens,
        draft_method=draft_method,
        draft_model=candidate.model.id,
        accepted=accepted,
        requests=benchmark_requests(request.concurrency) if as_published else None,
        random_lengths=as_published,
    )
