"""The record of a run: one form for `seatrial run`, `seatrial measure --output` and the notebooks; older forms are migrated.

docs/records.md describes it, ``record.schema.json`` beside this file is its JSON schema.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from seatrial.addresses import Reach, address_in, plain_host, reach_of
from seatrial.errors import UsageError
from seatrial.hardware.types import Hardware
from seatrial.measure.columns import Layout, from_columns, to_columns
from seatrial.measure.types import Completion, Measurement, Point, Sample
from seatrial.measure.workload import Workload
from seatrial.plan.types import Plan
from seatrial.records import FORMAT, FORMAT_VERSION, RECORD_MIME, Origin, from_dict, read_json, to_dict
from seatrial.speed.types import Prediction

_MOST_SAMPLES, _MOST_COMPLETIONS, _MOST_GAPS = 20_000, 100_000, 20_000
"""Rows of a record; of more samples every second, third ... is kept. More gaps between chunks are left out."""

SAMPLES = Layout(
    Sample,
    "at_s",
    wide=frozenset(one.name for one in fields(Sample) if one.name.startswith("gpu_")),
)
COMPLETIONS = Layout(
    Completion,
    "scheduled_s",
    times={
        "sent_s": "scheduled_s",
        "first_token_s": "sent_s",
        "first_answer_s": "first_token_s",
        "last_token_s": "first_token_s",
        "ended_s": "sent_s",
    },
    gaps="gaps_s",
    left_out={"text": ""},
)


@dataclass(frozen=True, slots=True)
class RecordedMeasurement:
    """A measurement in a record.

    Attributes:
        url: Address of the server; of one elsewhere only what kind of place it is.
        points: Figures of each load level.
        samples: Telemetry in columns.
        completions: Requests in columns, without the text of their answers.
        left_out: What the record does not keep, a phrase each.

    """

    url: str
    model: str
    engine: str | None
    workload: Workload
    points: tuple[Point, ...]
    started_at: str
    stand_in: bool = False
    simulated: bool = False
    notes: tuple[str, ...] = ()
    missing: dict[str, str] = field(default_factory=dict)
    origin: Origin = "measured"
    source: str = ""
    left_out: tuple[str, ...] = ()
    samples: dict[str, Any] = field(default_factory=dict)
    completions: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Results:
    """Results that a record may have; notebooks may record others beside them.

    Attributes:
        hardware: The machine.
        plans: For each model, on this machine; ``verdict`` is an older name.
        example_plans: The same for a machine that was named.
        plan: Of what was launched.
        command: Program, arguments and environment, without secrets.
        server: How it started and stopped.
        prediction: Expected speed, by the number of streams.
        measurement: Load and figures.

    """

    hardware: Hardware | None = None
    plans: tuple[Plan, ...] | dict[str, Plan] = ()
    verdict: tuple[Plan, ...] | dict[str, Plan] = ()
    example_plans: tuple[Plan, ...] | dict[str, Plan] = ()
    plan: Plan | None = None
    command: dict[str, Any] | None = None
    server: dict[str, Any] | None = None
    prediction: dict[str, Prediction] = field(default_factory=dict)
    measurement: RecordedMeasurement | None = None


def to_record(measurement: Measurement) -> RecordedMeasurement:
    """Return what a record keeps of a measurement: its figures, and its series in columns."""
    samples, completions = measurement.samples, measurement.completions[:_MOST_COMPLETIONS]
    step = -(-len(samples) // _MOST_SAMPLES) or 1
    gaps = sum(len(one.gaps_s) for one in completions)
    left_out = {
        "the text of answers": any(one.text for one in completions),
        f"{len(measurement.completions) - len(completions):,} requests": len(completions)
        < len(measurement.completions),
        f"{gaps:,} gaps between chunks": gaps > _MOST_GAPS,
        f"telemetry but one in {step} samples": step > 1,
    }
    shared = {
        name: getattr(measurement, name)
        for name in RecordedMeasurement.__dataclass_fields__
        if name not in {"url", "samples", "completions", "left_out"}
    }
    return RecordedMeasurement(
        **shared,
        url=_shareable(measurement.url),
        left_out=tuple(what for what, holds in left_out.items() if holds),
        samples=to_columns(samples[::step], SAMPLES),
        completions=to_columns(completions, COMPLETIONS, gaps=gaps <= _MOST_GAPS),
    )


def read_measurement(value: Any) -> Measurement:
    """Return the measurement in a record.

    Raises:
        UsageError: If a field is missing or has the wrong type.

    """
    kept = from_dict(RecordedMeasurement, _in_columns(value))
    fields = {name: getattr(kept, name) for name in kept.__dataclass_fields__ if name != "left_out"}
    series = {
        "samples": from_columns(kept.samples, SAMPLES),
        "completions": from_columns(kept.completions, COMPLETIONS),
    }
    return Measurement(**{**fields, **series})


def read_document(path: Path) -> dict[str, Any]:
    """Load the record in a file, or in the outputs of an executed notebook, in today's form.

    Raises:
        UsageError: If the file is missing or no record, or a later version of the kit wrote it.

    """
    document = read_json(path, mended=True)
    if path.suffix == ".ipynb" and isinstance(document, dict):
        document = {"id": path.stem, "results": _recorded_in(document)}
    return migrated(document, str(path))


def _recorded_in(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return the results that an executed notebook shows as records, whichever program ran it."""
    found: dict[str, Any] = {}
    cells = notebook.get("cells")
    for cell in cells if isinstance(cells, list) else ():
        outputs = cell.get("outputs") if isinstance(cell, dict) else None
        for output in outputs if isinstance(outputs, list) else ():
            data = output.get("data") if isinstance(output, dict) else None
            bundle = data.get(RECORD_MIME) if isinstance(data, dict) else None
            if isinstance(bundle, dict) and isinstance(bundle.get("name"), str) and "value" in bundle:
                found[bundle["name"]] = bundle["value"]
    return found


def migrated(document: Any, name: str) -> dict[str, Any]:
    """Return a record in today's form; what cannot be read of it stays as it is, to be named when it is shown.

    Args:
        document: A record of any version.
        name: Name of it in messages.

    Raises:
        UsageError: If it is no record, or a later version of the kit wrote it.

    """
    again = "Write it with seatrial run, or with seatrial measure --output FILE."
    if not isinstance(document, dict) or not isinstance(document.get("results", {}), dict):
        points = isinstance(document, list) and document and "self_check" in str(document[0])
        what = (
            "has the figures of seatrial measure --json without machine and load" if points else "is not a run's record"
        )
        raise UsageError(f"{name} {what}.", remedy=again)
    if document.get("format", FORMAT) != FORMAT:
        raise UsageError(f"{name} is not a run's record.", remedy=again)
    version = document.get("format_version", 0)
    if type(version) is not int or not 0 <= version <= FORMAT_VERSION:
        raise UsageError(
            f"{name} has version {str(version)[:20]} of the record's format; this seatrial reads up to {FORMAT_VERSION}.",
            remedy="Update seatrial: pip install --upgrade seatrial",
        )
    results = document.get("results") or {}
    if "measurement" in results:
        results = {**results, "measurement": _in_columns(results["measurement"])}
    return {**document, "format": FORMAT, "format_version": FORMAT_VERSION, "results": results}


def _in_columns(value: Any) -> Any:
    """Return a measurement of version 0, which had its series in rows, with columns; anything else as it is."""
    if not isinstance(value, dict) or not isinstance(value.get("samples"), list):
        return value
    try:
        return to_dict(to_record(from_dict(Measurement, value)))
    except UsageError:
        return value


def _shareable(url: str) -> str:
    """Return an address without user, password and query; of a host elsewhere only whether its network is private."""
    try:
        parts = urlsplit(url)
        host, port = plain_host(parts.hostname or ""), f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    address = address_in(host)
    near = Reach.THIS_MACHINE if host == "localhost" else reach_of(address) if address is not None else None
    if near is Reach.THIS_MACHINE:
        shown = f"[{host}]" if ":" in host else host
        return f"{parts.scheme}://{shown}{port}{parts.path}"
    private = near is Reach.PRIVATE_NETWORK or (address is None and "." not in host)
    return f"{parts.scheme}://{'private-network' if private else 'elsewhere'}"
