"""The real engine is measured: llama.cpp on the stand-in model, through the server layer."""

from dataclasses import replace

import pytest

from seatrial.hardware import detect_hardware
from seatrial.launching import launch
from seatrial.measure import Workload, measure_server
from seatrial.plan import make_plan

pytestmark = pytest.mark.engine


def test_stand_in(require):
    """Two load levels: every request succeeds, exact prompts, tokens from usage, samples of CPU and memory."""
    require("xllamacpp")
    require("stand-in model")
    workload = Workload(concurrency=(1, 2), requests=4, prompt_tokens=64, answer_tokens=24)
    with launch(make_plan("smollm2", hardware=detect_hardware(), concurrency=2)) as server:
        measurement = measure_server(server, workload)
        again = measure_server(server, replace(workload, concurrency=(1,), requests=1), model=server.model)
    assert (True, False, "llamacpp") == (measurement.stand_in, measurement.simulated, measurement.engine)
    assert [(4, {}), (4, {})] == [(point.requests.succeeded, point.requests.errors) for point in measurement.points]
    for one in measurement.completions:
        assert ("usage", 64) == (one.token_source, one.prompt_tokens)
        assert 0 < one.tokens <= 24
        assert one.text.strip()
    for point in measurement.points:
        assert point.output_tokens_per_s > 0
        assert point.cached_tokens < 4 * 64
    assert any(sample.cpu_share and sample.memory_bytes > 50_000_000 for sample in measurement.samples)
    assert again.points[0].requests.succeeded == 1
