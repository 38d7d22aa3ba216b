"""Describe the record of a run as a JSON schema, from the types that write and read it."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from seatrial.batch.types import Run
from seatrial.measure.columns import columns_type
from seatrial.measure.record import COMPLETIONS, SAMPLES, RecordedMeasurement, Results
from seatrial.records import FORMAT, FORMAT_VERSION

SCHEMA = "lib/seatrial/measure/record.schema.json"
"""Its file, below the repository's root."""


def record_schema() -> dict[str, Any]:
    """Return the schema: a run, the results it may have, and the columns of a measurement."""
    series = {"samples": columns_type(SAMPLES), "completions": columns_type(COMPLETIONS)}
    kinds = (Run, Results, RecordedMeasurement, *series.values())
    _, found = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    fields = found["Run"]["properties"]
    # Notebooks record other results beside those that the kit knows.
    fields["results"] = {"$ref": "#/$defs/Results"}
    fields["format"], fields["format_version"] = {"const": FORMAT}, {"const": FORMAT_VERSION}
    found["Run"]["required"] = sorted({*found["Run"]["required"], "format", "format_version", "results"})
    for name, kind in series.items():
        empty = {"type": "object", "maxProperties": 0}
        found["RecordedMeasurement"]["properties"][name] = {"anyOf": [empty, {"$ref": f"#/$defs/{kind.__name__}"}]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{FORMAT}, version {FORMAT_VERSION}",
        "$ref": "#/$defs/Run",
        "$defs": {name: found[name] for name in sorted(found)},
    }


def schema_text() -> str:
    """Return the schema as its file has it."""
    return json.dumps(record_schema(), indent=1) + "\n"
