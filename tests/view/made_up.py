"""Made-up runs for tests of what is shown. No figure here was measured."""

import json
from pathlib import Path

from seatrial.hardware import detect_hardware
from seatrial.measure import Measurement, Point, Quantiles, Sample, SelfCheck, Workload
from seatrial.measure.types import RequestCounts
from seatrial.plan import make_plan
from seatrial.records import Interval, to_dict

LEVELS = (1, 2, 4, 8)
SPEEDS = (68.0, 110.0, 170.0, 210.0)
HOSTILE = (
    '<script>alert(1)</script>\x1b[31m\u202egnp.exe\u202c\x1b]8;;http://evil/\x07" onload="x" $\\href{javascript:1}{x}$'
)


def quantiles(p50):
    """Return waiting times round a median."""
    return Quantiles(p50 * 1.1, p50, p50 * 1.5, None)


def point(streams, speed):
    """Return a load level."""
    return Point(
        concurrency=streams,
        rate=None,
        requests=RequestCounts(8 * streams, 8 * streams, 0),
        ttft_s=quantiles(0.06 * streams),
        ttft_from_schedule_s=quantiles(0.06 * streams),
        ttfo_s=None,
        tpot_s=quantiles(0.014),
        chunk_gap_s=None,
        e2e_s=quantiles(0.9),
        output_tokens_per_s=speed,
        output_tokens_per_s_whole_run=speed * 0.9,
        tokens_per_chunk=1.0,
        goodput_per_s=None,
        token_source="usage",
        cached_tokens=0,
        duration_s=10.0,
        self_check=SelfCheck(0.0002, 0.1, 0.0004, valid=True),
        predicted_tokens_per_s=Interval(speed * 0.6, speed * 1.1, speed * 1.7),
    )


def measurement(scale=1.0, **changes):
    """Return four load levels of ten seconds each, with a sample every quarter second."""
    samples = tuple(
        Sample(
            at_s=10 * level + 0.25 * tick,
            point=level,
            tokens_per_s=SPEEDS[level] * scale + tick % 5,
            active_streams=LEVELS[level],
            memory_bytes=(330 + level) << 20,
        )
        for level in range(len(LEVELS))
        for tick in range(40)
    )
    fields = {
        "url": "http://127.0.0.1:41234",
        "model": "made-up-model",
        "engine": "llamacpp",
        "workload": Workload(concurrency=LEVELS),
        "points": tuple(point(streams, speed * scale) for streams, speed in zip(LEVELS, SPEEDS, strict=True)),
        "samples": samples,
        "completions": (),
        "started_at": "2026-11-23T12:00:00+00:00",
        "stand_in": True,
    }
    return Measurement(**{**fields, **changes})


def plans(machine="h100x4"):
    """Plan the two models on a named machine."""
    return tuple(make_plan(model, hardware=detect_hardware(machine)) for model in ("flash", "pro"))


def results(machine="h100x4"):
    """Return everything a whole run records."""
    plan = make_plan("smollm2", hardware=detect_hardware("cpu"), concurrency=8)
    return {
        "hardware": detect_hardware(machine),
        "plans": plans(machine),
        "plan": plan,
        "command": {"argv": ["llama-server", "--port={port}"], "env": {"OMP_WAIT_POLICY": "passive"}},
        "server": {"name": "made-up", "url": "http://127.0.0.1:41234", "model": "made-up-model", "engine": "llamacpp",
                   "ready_after_s": 1.5, "stand_in": True, "simulated": False,
                   "stopped": {"name": "made-up", "port": 41234, "port_free": True, "processes_left": 0, "took_s": 0.2}},
        "prediction": {"1": plan.prediction, "8": plan.prediction},
        "measurement": measurement(),
    }  # fmt: skip


def write_run(folder: Path, recorded=None, **changes):
    """Write a run's folder with its record; ``changes`` replace fields of the record."""
    document = {
        "id": folder.name,
        "started_at": "2026-11-23T12:00:00Z",
        "finished_at": "2026-11-23T12:01:00Z",
        "seatrial_version": "0.1.0",
        "versions": {"python": "3.11.2", "packages": {"plotly": "7.1.0", "sglang": None}},
        "notebooks": [
            {"notebook": "05_live_throughput.ipynb", "status": "completed", "duration_s": 30.0,
             "parameters": {"concurrency": "1,2,4,8"}, "error": None}
        ],
        "results": to_dict(results() if recorded is None else recorded),
    } | changes  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "record.json").write_text(json.dumps(document), encoding="utf-8")
    return folder
