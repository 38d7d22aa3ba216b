"""The record of a run: one form with a schema, older forms read, newer ones refused, addresses of others left out."""

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from tests.view.made_up import measurement, results, write_run

from record_schema import SCHEMA, schema_text
from seatrial.errors import UsageError
from seatrial.measure import Completion, Measurement
from seatrial.measure.record import read_document, read_measurement, to_record
from seatrial.records import RECORD_MIME, from_dict, read_json, to_dict, write_record

OLD = sorted((Path(__file__).parent / "records").glob("version-0-*.json"))
ROOT = Path(__file__).resolve().parents[2]


def check(document):
    """Check a document against the schema that is shipped."""
    document = json.loads(json.dumps(document))
    jsonschema.validate(document, json.loads((ROOT / SCHEMA).read_text(encoding="utf-8")))


def test_the_schema_is_what_the_types_say():
    """After a change of the types ``python tools/docs.py`` writes it again."""
    assert schema_text() == (ROOT / SCHEMA).read_text(encoding="utf-8")


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_a_record_of_version_0_is_migrated(path):
    """Records of a real run: the figures stay, the series come back, and the form is today's."""
    before = from_dict(Measurement, read_json(path)["results"]["measurement"])
    document = read_document(path)
    check(document)
    after = read_measurement(document["results"]["measurement"])
    assert (before.points, before.workload, before.model) == (after.points, after.workload, after.model)
    assert [round(one.at_s, 6) for one in before.samples] == [one.at_s for one in after.samples]
    assert [one.memory_bytes for one in before.samples] == [one.memory_bytes for one in after.samples]
    assert [one.tokens for one in before.completions] == [one.tokens for one in after.completions]
    assert {""} == {one.text for one in after.completions}


def test_what_is_written_keeps_to_the_schema_and_comes_back(tmp_path):
    """Everything a whole run records, through a file."""
    document = json.loads((write_run(tmp_path) / "record.json").read_text(encoding="utf-8"))
    document["notebooks"] = []
    document["results"]["measurement"] = to_dict(to_record(measurement()))
    write_record(tmp_path / "again.json", document)
    check(json.loads((tmp_path / "again.json").read_text(encoding="utf-8")))
    again = read_measurement(read_document(tmp_path / "again.json")["results"]["measurement"])
    assert measurement() == again


def test_the_schema_refuses_what_is_none():
    """A schema that takes everything would say nothing."""
    good = json.loads(OLD[0].read_text(encoding="utf-8"))
    with pytest.raises(jsonschema.ValidationError):
        check(good)  # version 0 has no format
    kept = read_document(OLD[0])
    kept["results"]["measurement"]["samples"]["at_us"] = "soon"
    with pytest.raises(jsonschema.ValidationError):
        check(kept)


def test_columns_are_a_fraction_of_rows():
    """Of a real measurement at most a third of the bytes is left, figures and all."""
    for path in OLD:
        before = read_json(path)["results"]["measurement"]
        after = read_document(path)["results"]["measurement"]
        size = [len(json.dumps(one, separators=(",", ":"))) for one in (after, before)]
        assert 3 * size[0] <= size[1] + 2 * len(json.dumps(before["points"]))


@pytest.mark.parametrize("version", [2, 10**30, "2", None, -1, 1.5, True])
def test_a_version_that_is_not_known_is_refused(tmp_path, version):
    """A later one says to update; what is no version is no record of ours."""
    path = tmp_path / "later.json"
    path.write_text(json.dumps({"format": "seatrial run", "format_version": version, "results": {}}))
    with pytest.raises(UsageError, match=r"version .* of the record's format; this seatrial reads up to 1"):
        read_document(path)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '"x"', '{"results": 7}', '{"format": "other"}', "[" * 100_000, "\x00", '{"a":1,"a":2}']
)
def test_what_is_no_record_is_one_error(tmp_path, text):
    """Empty, cut, of another type, of another format, too deep, no text."""
    path = tmp_path / "odd.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"odd\.json"):
        read_document(path)


def test_the_output_of_measure_is_named(tmp_path):
    """A list of points is no record, and the message says how to get one."""
    path = tmp_path / "points.json"
    path.write_text(json.dumps(to_dict(measurement().points)))
    with pytest.raises(UsageError, match="figures of seatrial measure --json") as error:
        read_document(path)
    assert "seatrial measure --output" in error.value.remedy


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://localhost:8000/v1?key=abc", "http://localhost:8000/v1"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("https://me:secret@127.0.0.1/", "https://127.0.0.1/"),
        ("http://10.1.2.3:8000/v1", "http://private-network"),
        ("http://box7:8000", "http://private-network"),
        ("https://api.example.com/v1", "https://elsewhere"),
        ("http://8.8.8.8", "http://elsewhere"),
        ("http://[fe80::1%25eth0", ""),
        ("http://127.0.0.1:99999999", ""),
    ],
)
def test_an_address_elsewhere_stays_out_of_the_record(url, kept):
    """Of another host only its kind is kept; no password, no query."""
    assert kept == to_record(measurement(url=url)).url


def test_what_is_left_out_is_said():
    """Texts of answers, too many gaps, and samples beyond what a record holds."""
    one = Completion(point=0, scheduled_s=0.0, sent_s=0.0, first_token_s=0.1, first_answer_s=0.1, last_token_s=1.0,
                     chunks=2, tokens=2, token_source="usage", first_chunk_tokens=1, prompt_tokens=1, cached_tokens=0,
                     gaps_s=(0.01,) * 12_000, error=None, text="hello", ended_s=1.0)  # fmt: skip
    sample = measurement().samples[0]
    kept = to_record(
        measurement(completions=(one, one), samples=tuple(replace(sample, at_s=float(at)) for at in range(50_000)))
    )
    assert ("the text of answers", "24,000 gaps between chunks", "telemetry but one in 3 samples") == kept.left_out
    assert 16_667 == len(kept.samples["at_us"])
    assert "gaps_100us" not in kept.completions


def test_a_damaged_measurement_stays_for_whoever_shows_it(tmp_path):
    """Migration never throws: the reader names what cannot be read, and keeps the rest."""
    path = write_run(tmp_path, results() | {"measurement": {"samples": [1], "points": "no"}}) / "record.json"
    assert {"samples": [1], "points": "no"} == read_document(path)["results"]["measurement"]


def test_an_executed_notebook_is_a_record_too(tmp_path):
    """Whichever program ran it: the results are in its outputs."""
    bundle = {
        RECORD_MIME: {"name": "measurement", "value": to_dict(to_record(measurement()))},
        "text/plain": "recorded",
    }
    cells = [
        {"cell_type": "code", "outputs": [{"output_type": "display_data", "data": bundle}]},
        {"cell_type": "markdown"},
    ]
    path = tmp_path / "05.ipynb"
    path.write_text(json.dumps({"nbformat": 4, "metadata": {}, "cells": cells}))
    assert measurement() == read_measurement(read_document(path)["results"]["measurement"])


@pytest.mark.parametrize(
    "cells",
    [None, 7, [7], [{"outputs": 7}], [{"outputs": [7]}], [{"outputs": [{"data": 7}]}], [{"outputs": [{"data": {RECORD_MIME: 7}}]}],
     [{"outputs": [{"data": {RECORD_MIME: {"name": [], "value": 1}}}]}]],
)  # fmt: skip
def test_odd_outputs_of_a_notebook_are_left_out(tmp_path, cells):
    """Then it has recorded nothing."""
    path = tmp_path / "odd.ipynb"
    path.write_text(json.dumps({"cells": cells}))
    assert {} == read_document(path)["results"]
