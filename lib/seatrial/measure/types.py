"""Types of a measurement: the load, its requests, and their figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from seatrial.measure.workload import Workload
from seatrial.records import Interval, Origin


@dataclass(frozen=True, slots=True)
class Completion:
    """A request, as the client saw it. Times are seconds since the run's start; None if it never happened.

    Attributes:
        point: Index of the load level.
        scheduled_s: When it should have been sent; closed loop: when its slot was free.
        sent_s: When it was passed to its connection; of the last attempt, if the server asked for a retry.
        first_token_s: First chunk with content, reasoning or a tool call.
        first_answer_s: First chunk that is not reasoning.
        last_token_s: Last chunk with tokens.
        chunks: Chunks that carried tokens.
        tokens: Output tokens, counted as ``token_source`` says.
        token_source: ``usage``, ``tokenize`` or ``chunks``.
        first_chunk_tokens: Tokens in the first chunk, None if unknown.
        prompt_tokens: As the server counts them.
        cached_tokens: Of these, answered by its prefix cache.
        gaps_s: Between chunks that carried tokens.
        error: ``kind: message``, None if it succeeded.
        text: The answer, also if it broke off.
        ended_s: When the request was over, its slot free again.
        retries: Attempts the server turned away before (429 or 503).
        reasons_first: True if the answer began with reasoning.
        right: Of a question that was asked among the load: whether its answer is right; None for a request of the load.
        usage_doubt: Why a count of the server cannot be right and was left out; empty if none is doubtful.
        stream_doubt: What of the stream was left out or guessed; empty if it is plain to read.
        draft_steps: Steps of the model in which drafts were checked, None if the server does not count them.
        drafted_tokens: Tokens that were drafted for this answer, likewise.
        accepted_tokens: Of these, accepted.

    """

    point: int
    scheduled_s: float
    sent_s: float
    first_token_s: float | None
    first_answer_s: float | None
    last_token_s: float | None
    chunks: int
    tokens: int
    token_source: str
    first_chunk_tokens: int | None
    prompt_tokens: int | None
    cached_tokens: int | None
    gaps_s: tuple[float, ...]
    error: str | None
    text: str
    ended_s: float
    retries: int = 0
    reasons_first: bool = False
    right: bool | None = None
    usage_doubt: str = ""
    stream_doubt: str = ""
    draft_steps: int | None = None
    drafted_tokens: int | None = None
    accepted_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """Telemetry at one instant. ``at_s`` is seconds since the run's start; unknown readings are None.

    Attributes:
        tokens_per_s: Output tokens over the last sampling interval, all streams.
        active_streams: Requests in flight.
        cpu_share: CPU used by the engine's processes, 1.0 is one core.
        memory_bytes: Resident memory of the engine's processes.
        gpu_memory_bytes: Per GPU.
        gpu_utilization: Per GPU, 0 to 1.
        gpu_power_w: Per GPU.
        waiting_requests: Requests in the server's own queue, by its ``/metrics``.
        kv_cache_usage: Share of its KV cache that is taken, 0 to 1, likewise.
        running_requests: Requests that the server works on, likewise.
        prompt_tokens: Prompt tokens that the server has read since its start, likewise.
        generated_tokens: Tokens that it has generated since its start, likewise.
        cached_tokens: Prompt tokens that its prefix cache has answered since its start, likewise.
        drafted_tokens: Tokens that it has drafted since its start, likewise.
        accepted_tokens: Drafted tokens that it has accepted since its start, likewise.
        preemptions: Requests that it has put back into the queue since its start, likewise.
        host_cpu_share: CPU in use on the machine or in its control group, 0 to 1.
        host_memory_bytes: Memory in use there.
        gpu_temperature_c: Per GPU.
        gpu_clock_mhz: Per GPU, of the compute units.
        gpu_throttle: Per GPU, why its clock is held down; empty if it is not.
        gpu_engine_processes: Per GPU, how many of the engine's processes use it.
        gpu_other_processes: Per GPU, how many processes of others use it.

    """

    at_s: float
    point: int
    tokens_per_s: float | None = None
    active_streams: int | None = None
    cpu_share: float | None = None
    memory_bytes: int | None = None
    gpu_memory_bytes: tuple[int | None, ...] = ()
    gpu_utilization: tuple[float | None, ...] = ()
    gpu_power_w: tuple[float | None, ...] = ()
    waiting_requests: int | None = None
    kv_cache_usage: float | None = None
    running_requests: int | None = None
    prompt_tokens: int | None = None
    generated_tokens: int | None = None
    cached_tokens: int | None = None
    drafted_tokens: int | None = None
    accepted_tokens: int | None = None
    preemptions: int | None = None
    host_cpu_share: float | None = None
    host_memory_bytes: int | None = None
    gpu_temperature_c: tuple[float | None, ...] = ()
    gpu_clock_mhz: tuple[float | None, ...] = ()
    gpu_throttle: tuple[str | None, ...] = ()
    gpu_engine_processes: tuple[int | None, ...] = ()
    gpu_other_processes: tuple[int | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Mean and percentiles in seconds; p99 is None under 100 requests."""

    mean: float
    p50: float
    p90: float
    p99: float | None


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """Requests of a point.

    Attributes:
        errors: How many requests failed, by kind.
        retries: Attempts that were turned away.
        reasons: What was said of the first failure of each kind, by the server if it said why.

    """

    sent: int
    succeeded: int
    failed: int
    errors: dict[str, int] = field(default_factory=dict)
    retries: int = 0
    reasons: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """Figures of the client itself; a point is valid only if it kept up, and if the times are the server's own.

    Attributes:
        valid: False if the figures are not the server's; ``why`` says the reason.
        ttft_error_s: How much of TTFT the client's own lateness may be, None if unknown.
        tpot_error_s: The same of TPOT.
        warnings: What a reader must know of figures that are valid, one sentence each.

    """

    loop_lag_p99_s: float
    cpu_share: float
    dispatch_delay_p99_s: float
    valid: bool
    why: str = ""
    ttft_error_s: float | None = None
    tpot_error_s: float | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Point:
    """Figures of a load level. Definitions: docs/measuring.md.

    Attributes:
        label: The level in words, such as "8 streams" or "8 streams, prompts of 32,768 tokens".
        partial: True if the level was stopped before its end.
        queue_grows: Open loop: True if the queue only grew, so that times depend on the length of the level.
        output_tokens_per_s_interval: Of a repeated level: mean and 95 % interval over its runs; the same of the medians of
            TTFT (open loop: from the schedule) and TPOT.
        energy_per_token_j: GPU energy for each output token, None if no power is read.
        preemptions: Requests that the server put back into its queue.
        checked_answers: Answers that were checked among the load, None if none were. Their tokens are part of the
            throughput; latency, goodput and ``requests`` are of the load's own requests.
        right_answers: Those of them that were right.
        runs: Of a repeated level its single runs; the level's own figures are means over them, its counts sums.

    """

    concurrency: int | None
    rate: float | None
    requests: RequestCounts
    ttft_s: Quantiles | None
    ttft_from_schedule_s: Quantiles | None
    ttfo_s: Quantiles | None
    tpot_s: Quantiles | None
    chunk_gap_s: Quantiles | None
    e2e_s: Quantiles | None
    output_tokens_per_s: float | None
    output_tokens_per_s_whole_run: float | None
    tokens_per_chunk: float | None
    goodput_per_s: float | None
    token_source: str | None
    cached_tokens: int | None
    duration_s: float
    self_check: SelfCheck
    predicted_tokens_per_s: Interval | None = None
    # Tokens of a step with a drafter, the model's own included, and what the server counted for that. None for a server
    # that drafts nothing or does not tell.
    acceptance_length: float | None = None
    drafted_tokens: int | None = None
    accepted_tokens: int | None = None
    label: str = ""
    partial: bool = False
    queue_grows: bool | None = None
    output_tokens_per_s_interval: Interval | None = None
    ttft_interval_s: Interval | None = None
    tpot_interval_s: Interval | None = None
    energy_per_token_j: float | None = None
    preemptions: int | None = None
    checked_answers: int | None = None
    right_answers: int | None = None
    runs: tuple[Point, ...] = ()


@dataclass(frozen=True, slots=True)
class Measurement:
    """A finished load run: its points, and the samples and completions they were made from.

    Attributes:
        stand_in: True for a stand-in rather than DeepSeek V4.
        simulated: True if the server only pretends to be an engine.
        notes: Remarks on how it was measured, one sentence each.
        missing: Readings that no sample has, each with the reason.
        origin: Origin of its figures; those of a simulated server are measured too.
        source: Client that measured, and where its figures are defined.

    """

    url: str
    model: str
    engine: str | None
    workload: Workload
    points: tuple[Point, ...]
    samples: tuple[Sample, ...]
    completions: tuple[Completion, ...]
    started_at: str
    stand_in: bool = False
    simulated: bool = False
    notes: tuple[str, ...] = ()
    missing: dict[str, str] = field(default_factory=dict)
    origin: Origin = "measured"
    source: str = "this kit's client; each figure is defined in docs/measuring.md"

    def recorded(self) -> Any:
        """Return what a record keeps of it: its series in columns, answers without their text."""
        from seatrial.measure.record import to_record

        return to_record(self)
