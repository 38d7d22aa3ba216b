"""A planned server is compared with its prediction; what was measured scales the next one on this machine."""

from dataclasses import replace
from statistics import median
from types import SimpleNamespace

import pytest
from tests.measure.test_summary import MEASUREMENT, completion, summary

from seatrial.hardware import detect_hardware
from seatrial.hardware.efficiency import with_measured_efficiency
from seatrial.launching import launch
from seatrial.launching.learned_speed import compare_with_plan, remember_speed, with_predictions
from seatrial.launching.next_plan import keep_plan
from seatrial.launching.this_machine import predict_levels
from seatrial.measure import Workload, measure_server
from seatrial.measure.types import Sample
from seatrial.plan import make_plan
from seatrial.server.folder import folder_of
from seatrial.units import MIB
from seatrial.view.tables.plans import describe_speed
from seatrial.view.tables.predicted import table_predicted

TOKENS = 65
LOG = "load_tensors:   CPU_Mapped model buffer size =    92.10 MiB\nllama_kv_cache: CPU KV buffer size =    45.00 MiB\n"


def stand_in(streams=4):
    """Return the plan of the stand-in on this machine, with what is known of it by now."""
    return make_plan("smollm2", hardware=detect_hardware(), engine="llamacpp", concurrency=streams, context_tokens=2048)


def server(plan, log=LOG):
    """Return a server that was launched with a plan, as far as a comparison looks at one."""
    folder = folder_of("compared")
    folder.path.mkdir(parents=True, exist_ok=True)
    keep_plan(folder, plan)
    folder.log_file.write_text(log)
    record = SimpleNamespace(subject=SimpleNamespace(version="b11549"))
    return SimpleNamespace(name="compared", log=str(folder.log_file), record=record)


def measured(plan, slower=3.0, levels=(1, 4), **changes):
    """Return a measurement in which each time is so many times as long as predicted."""
    points, completions = [], []
    for index, streams in enumerate(levels):
        predicted = predict_levels(plan, (streams,), prompt_tokens=128, answer_tokens=TOKENS)[streams]
        gaps = (slower * predicted.tpot_s.expected,) * (TOKENS - 1)
        one = completion(point=index, first=slower * predicted.ttft_s.expected, gaps=gaps, prompt_tokens=128)
        completions += [one] * 8 * streams
        points.append(replace(summary([one] * 8 * streams, streams=streams), output_tokens_per_s=10.0))
    load = Workload(concurrency=tuple(levels), prompt_tokens=128, answer_tokens=TOKENS)
    samples = (Sample(0.0, 0, memory_bytes=300 * MIB),)
    return replace(
        MEASUREMENT, workload=load, points=tuple(points), completions=tuple(completions), samples=samples, **changes
    )


def test_the_next_prediction_uses_what_was_measured():
    """Three times as slow as predicted at 1 and 4 streams: so is the next plan, also between them, and it says why."""
    plan = stand_in()
    assert remember_speed(server(plan), measured(plan)).exists()
    again = stand_in(3)
    before, after = (predict_levels(one, (3,))[3] for one in (plan, again))
    assert pytest.approx(3.0) == after.tpot_s.expected / before.tpot_s.expected
    assert pytest.approx(3.0) == after.ttft_s.expected / before.ttft_s.expected
    assert pytest.approx(1 / 3) == after.decode_tokens_per_s.expected / before.decode_tokens_per_s.expected
    assert after.tpot_s.high / after.tpot_s.low < before.tpot_s.high / before.tpot_s.low
    assert describe_speed(again.prediction, 3).endswith(", by what was measured here on 2026-01-01")
    assert again.prediction.basis.startswith("Measured here on 2026-01-01 with llamacpp b11549, 1 to 4 streams: ")


def test_measuring_again_does_not_multiply():
    """The ratio is of the bare prediction: a second measurement of the same speed changes nothing."""
    plan = stand_in()
    run = measured(plan)
    remember_speed(server(plan), run)
    first = stand_in().prediction
    remember_speed(server(stand_in()), run)
    assert pytest.approx(first.tpot_s.expected) == stand_in().prediction.tpot_s.expected


def test_what_counts():
    """Levels that are not valid, partial, or of more streams than the plan serves, teach nothing."""
    plan = stand_in(2)
    run = measured(plan, levels=(1, 2, 4))
    bad = replace(run.points[0], self_check=replace(run.points[0].self_check, valid=False))
    assert (
        remember_speed(server(plan), replace(run, points=(bad, replace(run.points[1], partial=True), run.points[2])))
        is None
    )
    assert remember_speed(server(plan), replace(run, simulated=True)) is None
    assert remember_speed(server(plan), replace(run, points=())) is None
    assert remember_speed(server(plan), run) is not None
    (found,) = with_measured_efficiency(plan.hardware).efficiencies
    assert [1, 2] == [level.streams for level in found.levels]


@pytest.mark.parametrize("kind", ["simulated", "unplanned"])
def test_servers_without_a_prediction(kind):
    """A simulated server, and one that was launched from a command, have nothing to compare."""
    plan = stand_in()
    one = server(make_plan("smollm2", hardware=detect_hardware(), engine="simulated"))
    if kind == "unplanned":
        (folder_of("compared").path / "plan.json").unlink()
    run = measured(plan)
    assert ((), None, run) == (compare_with_plan(one, run), remember_speed(one, run), with_predictions(one, run))


def test_memory_and_speed_beside_what_was_predicted():
    """Weights and caches by the engine's log, host memory by its processes, times and rate of each level by the load."""
    plan = stand_in()
    found = {one.what: one for one in compare_with_plan(server(plan), measured(plan))}
    assert ["Weights", "KV cache", "Host memory", "Output, 1 stream", "TTFT, 1 stream", "TPOT, 1 stream"] == [*found][
        :6
    ]
    assert round(92.10 * MIB) == found["Weights"].measured
    assert plan.footprint.weights_bytes == found["Weights"].predicted
    assert pytest.approx(3.0) == found["TPOT, 4 streams"].ratio
    table = table_predicted(tuple(found.values()), kept=True)
    assert ("3.00", True) == (table.rows[-1][3], "next prediction" in table.note)
    assert "Nothing to compare" == table_predicted(()).title


def test_points_have_their_prediction():
    """The predicted tokens per second stand in the measurement, for its own lengths."""
    plan = stand_in()
    run = with_predictions(server(plan), measured(plan))
    expected = predict_levels(plan, (4,), prompt_tokens=128, answer_tokens=TOKENS)[4].decode_tokens_per_s
    assert expected == run.points[1].predicted_tokens_per_s


@pytest.mark.engine
def test_the_real_stand_in_at_other_loads(require):
    """The real engine: learnt at one load, another one is predicted. Runs alternate, so that a busy machine slows both.

    A machine that others use is no measure: the bound is wide, and it is on what both loads lost alike.
    """
    require("xllamacpp")
    require("stand-in model")
    learnt = Workload(concurrency=(2,), requests=2, prompt_tokens=48, answer_tokens=16)
    other = Workload(concurrency=(2,), requests=2, prompt_tokens=96, answer_tokens=8)
    ratios = []
    with launch(stand_in(2)) as running:
        for _ in range(2):
            assert remember_speed(running, measure_server(running, learnt)) is not None
            found = with_predictions(running, measure_server(running, other))
            ratios.append(
                found.points[0].output_tokens_per_s_whole_run / found.points[0].predicted_tokens_per_s.expected
            )
        figures = compare_with_plan(running, found)
    assert 1 / 3 < median(ratios) < 3
    assert {"Host memory", "TPOT, 2 streams", "TTFT, 2 streams"} <= {one.what for one in figures}
