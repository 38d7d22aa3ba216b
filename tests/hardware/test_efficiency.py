"""What was measured of engines is kept for this machine, and nothing else is ever believed."""

import json
import math
from dataclasses import replace

import pytest

from seatrial.hardware.efficiency import (
    EfficiencyRecord,
    folder,
    keep_efficiency,
    machine_kind,
    record_path,
    with_measured_efficiency,
)
from seatrial.hardware.named import named_machine
from seatrial.hardware.types import Efficiency, Hardware, Host, MeasuredLevel
from seatrial.records import to_dict
from seatrial.units import GIB

HOST = Host(cpu="AMD EPYC 7543", cores=32, memory_bytes=256 * GIB)
MACHINE = Hardware("cpu", (), HOST, None, None, "measured", "/proc")
MEASURED = Efficiency(
    engine="llamacpp",
    checkpoint="smollm2",
    tensor=1,
    drafter=None,
    engine_version="b11549",
    prompt_tokens=128,
    measured_at="2026-11-30T09:00:00+00:00",
    levels=(MeasuredLevel(1, 1.1, 0.9), MeasuredLevel(4, 1.4, 1.2)),
)


def test_what_was_measured_is_found_again():
    """The same machine finds it; one with other cores, another GPU or another memory does not."""
    keep_efficiency(MACHINE, MEASURED)
    assert (MEASURED,) == with_measured_efficiency(MACHINE).efficiencies
    gpu = replace(named_machine("h100x1").gpus[0], name="NVIDIA L40S")
    for other in (
        replace(MACHINE, host=replace(HOST, cores=8)),
        replace(MACHINE, host=replace(HOST, memory_limit_bytes=GIB)),
        replace(MACHINE, gpus=(gpu,)),
    ):
        assert other == with_measured_efficiency(other)


def test_levels_of_the_same_kind_are_replaced_one_by_one():
    """A later run replaces the levels that it measured; the others of this kind stay, and so do other kinds."""
    other = replace(MEASURED, checkpoint="other")
    later = replace(
        MEASURED, measured_at="2026-12-01T09:00:00+00:00", levels=(MeasuredLevel(4, 2.0, 2.0), MeasuredLevel(2, 1, 1))
    )
    for one in (MEASURED, other, later):
        keep_efficiency(MACHINE, one)
    levels = (MeasuredLevel(1, 1.1, 0.9), MeasuredLevel(2, 1, 1), MeasuredLevel(4, 2.0, 2.0))
    assert (other, replace(later, levels=levels)) == with_measured_efficiency(MACHINE).efficiencies


@pytest.mark.parametrize("change", [{"engine": "mlx"}, {"checkpoint": "x"}, {"tensor": 2}, {"drafter": "dspark"}])
def test_another_kind(change):
    """Another engine, checkpoint, split or drafter is measured for itself."""
    assert not MEASURED.same_kind(replace(MEASURED, **change))
    assert MEASURED.same_kind(replace(MEASURED, engine_version="b2", prompt_tokens=5))


def edited(**fields):
    """Return the record's document with other fields."""
    return json.dumps(to_dict(EfficiencyRecord(1, machine_kind(MACHINE), (MEASURED,))) | fields)


def levels(**fields):
    """Return the record's document with another level."""
    level = {"streams": 1, "decode": 1.0, "prefill": 1.0} | fields
    return edited(efficiencies=[to_dict(MEASURED) | {"levels": [level]}])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not JSON"),
        (edited()[:200], "is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("{}", "is not a EfficiencyRecord"),
        ("\x00\xff", "is not"),
        (edited(format=2), "has format 2, and this version reads 1"),
        (edited(machine=to_dict(machine_kind(replace(MACHINE, host=Host())))), "was measured on another machine"),
        (edited(efficiencies=[to_dict(MEASURED) | {"measured_at": "yesterday"}]), "'yesterday' is not a date"),
        (levels(streams=0), "no load has 0 streams"),
        (levels(streams=1 << 40), "no load has 1099511627776 streams"),
        (levels(decode=0.0), "takes 0 times as long"),
        (levels(prefill=-2.0), "takes -2 times as long"),
        (levels(decode=1e30), "takes 1e+30 times as long"),
        (levels(decode="fast"), "is not a EfficiencyRecord"),
        (levels(decode=math.nan), "holds NaN"),
        ('"' + "x" * (2 << 20) + '"', "more than 1,048,576 bytes"),
    ],
    ids=lambda value: value[:30],
)
def test_a_record_that_cannot_be_believed_is_one_problem(text, words):
    """Predictions stay as they are, and the next measurement replaces the file."""
    path = keep_efficiency(MACHINE, MEASURED)
    path.write_text(text, encoding="utf-8")
    found = with_measured_efficiency(MACHINE)
    assert ((), MACHINE.host) == (found.efficiencies, found.host)
    (problem,) = found.problems
    assert words in problem.what
    assert "seatrial measure --server" in problem.remedy
    keep_efficiency(MACHINE, MEASURED)
    assert (MEASURED,) == with_measured_efficiency(MACHINE).efficiencies


def test_a_folder_in_the_records_place_is_one_problem():
    """Detection goes on."""
    record_path(machine_kind(MACHINE)).mkdir(parents=True)
    assert [True] == ["cannot be read" in problem.what for problem in with_measured_efficiency(MACHINE).problems]


def test_nothing_was_measured():
    """Without a record nothing is added, and no folder is made."""
    assert MACHINE == with_measured_efficiency(MACHINE)
    assert not folder().exists()
