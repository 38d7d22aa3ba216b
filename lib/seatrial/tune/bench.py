"""Measures candidates as real servers under real load: launched by the kit, loaded by its own client."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Self

from seatrial.errors import EngineError, MeasurementError
from seatrial.launching import launch
from seatrial.launching.tuned import TunedReading
from seatrial.measure import Point, Workload, start_load
from seatrial.measure.self_check import CPU_SHARE
from seatrial.measure.workload_check import engines_with_ignore_eos
from seatrial.plan.types import Plan
from seatrial.server import Server
from seatrial.tune.pairs import Key, key_of

_MOST_SERVERS = 6  # side by side: the default, the leader and the candidates of a heat
_MEMORY_SHARE = 0.7  # of the free memory, for servers that wait for their turn
_LAG_SHARE = 0.01  # of a measurement's seconds, that the client's event loop may be late
_FIRST_ANSWER_TOKENS = 16  # of the answers from which the number of requests of a measurement is estimated
_MOST_REQUESTS_A_STREAM = 16


@dataclass(frozen=True, slots=True)
class TuneLoad:
    """Load under which a candidate is measured."""

    prompt_tokens: int = 128
    answer_tokens: int = 64
    seconds: float = 2.5  # that one measurement should take


class ServerBench:
    """Candidates as servers, as many of them up as memory allows. A context manager: it stops them all."""

    def __init__(self, plan_for: Callable[[int], Plan], load: TuneLoad, runner: str | None = None) -> None:
        self._plan_for = plan_for  # a number of requests at once
        self._load = load
        self._runner = runner
        self._up: OrderedDict[tuple[int, Key], Server] = OrderedDict()  # the server used last is the last
        self._requests: dict[int, int] = {}  # of a measurement, by streams
        self._seed = 0
        self._ends = math.inf  # of the time for a measurement

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.renew()

    def renew(self) -> None:
        """Stop every server; the next measurement starts its own."""
        while self._up:
            self._up.popitem()[1].stop()

    def measure(self, settings: Mapping[str, str], streams: int, left_s: float = math.inf) -> TunedReading:
        """Measure settings once; raise EngineError if the default does not start: there is nothing to compare with."""
        self._seed += 1
        self._ends = time.monotonic() + left_s
        try:
            server = self._server(streams, settings)
            if streams not in self._requests:
                self._requests[streams] = self._calibrated(server, streams)
            begun = time.monotonic()
            speed = _tokens_per_s(self._point(server, streams, self._requests[streams], self._load.answer_tokens))
        except (EngineError, MeasurementError) as error:
            if isinstance(error, EngineError) and not settings:
                raise
            return TunedReading(dict(settings), None, error.what.splitlines()[0])
        return TunedReading(dict(settings), speed, took_s=time.monotonic() - begun)

    def _server(self, streams: int, settings: Mapping[str, str]) -> Server:
        key = (streams, key_of(settings))
        if key in self._up:
            self._up.move_to_end(key)
            if self._up[key].alive():
                return self._up[key]
            self._up.pop(key).stop()
        for other in [other for other in self._up if other[0] != streams]:
            self._up.pop(other).stop()
        plan = replace(self._plan_for(streams), settings=dict(settings))
        while len(self._up) >= _servers_at_once(plan):
            self._up.popitem(last=False)[1].stop()
        taken = {server.name for server in self._up.values()}
        name = next(name for number in range(1, _MOST_SERVERS + 2) if (name := f"tune-{number}") not in taken)
        self._up[key] = launch(
            plan, name=name, runner=self._runner, tuned=False, shared=False, on_event=self._give_up_in_time
        )
        return self._up[key]

    def _give_up_in_time(self, _: object) -> None:
        if time.monotonic() > self._ends:
            raise MeasurementError("The budget ended while the server started.")

    def _calibrated(self, server: Server, streams: int) -> int:
        """Return how many requests take about as long as a measurement should."""
        answer_tokens = min(_FIRST_ANSWER_TOKENS, self._load.answer_tokens)
        point = self._point(server, streams, streams, answer_tokens)
        wanted = math.ceil(self._load.seconds * (point.output_tokens_per_s or 0.0) / self._load.answer_tokens)
        return max(streams, min(_MOST_REQUESTS_A_STREAM * streams, wanted))

    def _point(self, server: Server, streams: int, requests: int, answer_tokens: int) -> Point:
        workload = Workload(
            concurrency=(streams,),
            requests=requests,
            prompt_tokens=self._load.prompt_tokens,
            answer_tokens=answer_tokens,
            ignore_eos=server.engine in engines_with_ignore_eos(),
            seed=self._seed,
        )
        with start_load(server, workload) as load:
            if not load.wait(min(max(self._ends - time.monotonic(), 0.0), threading.TIMEOUT_MAX)):
                raise MeasurementError("The budget ended during the measurement.")
            points = load.result().points
        if not points:
            raise MeasurementError(f"{server.name} did not answer.")
        return points[0]


def _tokens_per_s(point: Point) -> float:
    """Return the tokens per second over the steady window; raise MeasurementError if they are not valid."""
    check = point.self_check
    if point.requests.failed or not point.output_tokens_per_s:
        kinds = ", ".join(point.requests.errors) or "no steady window"
        raise MeasurementError(f"{point.requests.failed} of {point.requests.sent} requests failed ({kinds}).")
    # The point's own check is about single tokens: the event loop may be late by a twentieth of a TPOT. A server that
    # takes every core makes it late by milliseconds, a slice of the scheduler: over seconds that changes nothing.
    if check.cpu_share > CPU_SHARE or check.loop_lag_p99_s > _LAG_SHARE * point.duration_s:
        raise MeasurementError(f"The client did not keep up: {check.why}")
    return point.output_tokens_per_s


def _servers_at_once(plan: Plan) -> int:
    """Return how many servers of a plan may run side by side: on GPUs, whose memory an engine takes whole, one."""
    free = plan.hardware.host.memory_available_bytes
    if plan.simulated:
        return _MOST_SERVERS
    if plan.hardware.gpus or not free or not plan.need_bytes:
        return 1
    return max(1, min(_MOST_SERVERS, int(free * _MEMORY_SHARE) // plan.need_bytes))
