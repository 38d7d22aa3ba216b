"""Messages between the client process and its parent: one JSON document a line.

The job goes through standard input because it contains the API key: arguments are visible to
everybody on the machine. Standard input then stays open for ``SetStreams``; when it ends, so does the client.
"""

from __future__ import annotations

from typing import Any

import msgspec

from seatrial.json_text import JsonDecoder
from seatrial.measure.recording import Recording
from seatrial.measure.types import Completion
from seatrial.measure.workload import Level, Workload


class LoadJob(msgspec.Struct, frozen=True):
    """A measurement to make. ``start_ns`` is the zero of all times, on the clock both processes share."""

    url: str
    workload: Workload
    start_ns: int
    model: str | None = None
    api_key: str | None = None
    recording: Recording | None = None


class SetStreams(msgspec.Struct, frozen=True):
    """So many streams from now on and until the load is stopped."""

    streams: int


class ClientReady(msgspec.Struct, frozen=True, tag="ready"):
    """The server answered: the model, and notes on how it is measured."""

    model: str
    notes: tuple[str, ...] = ()


class PointBegins(msgspec.Struct, frozen=True, tag="point_begins"):
    """A load level starts at ``at_s``; ``requests`` will be sent, 0 for a level without an end.

    A repeated level starts again under the same number.
    """

    point: int
    at_s: float
    requests: int
    level: Level
    label: str
    later: int = 0  # requests of the levels after it


class Tick(msgspec.Struct, frozen=True, tag="tick"):
    """Throughput, four times a second. Tokens of requests without usage yet are estimated from chunks."""

    point: int
    at_s: float
    tokens_per_s: float
    active_streams: int
    loop_lag_s: float = 0.0  # the largest since the last tick
    cpu_share: float = 0.0  # of a core, since the last tick


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """A request is over, well or not."""

    completion: Completion


class Recounted(msgspec.Struct, frozen=True, tag="recounted"):
    """A request of the level once more, its tokens counted by the server's tokenizer after the last answer.

    ``index`` is its place among the level's ``Finished``.
    """

    index: int
    completion: Completion


class PointEnds(msgspec.Struct, frozen=True, tag="point_ends"):
    """A load level is over: the client's own figures of it; ``partial`` if a person set other streams before its end."""

    point: int
    at_s: float
    loop_lag_p99_s: float
    cpu_share: float
    notes: tuple[str, ...] = ()
    partial: bool = False
    loop_lag_p90_s: float | None = None  # None if only the 99th percentile is known


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The measurement cannot go on; ``usage`` if the person who started it can mend that."""

    usage: bool
    what: str
    remedy: str


Event = ClientReady | PointBegins | Tick | Finished | Recounted | PointEnds | Failed

decode_event: Any = JsonDecoder(Event)
decode_job: Any = JsonDecoder(LoadJob)
decode_wish: Any = JsonDecoder(SetStreams)
