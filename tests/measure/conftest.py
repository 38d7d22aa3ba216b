"""Simulated engines, and small workloads to send to them."""

import contextlib
from dataclasses import replace

import pytest
from tests.simulator import running_simulator

from seatrial.measure import Workload, measure_server

TTFT_S, TPOT_S = 0.02, 0.004
SMALL = Workload(
    concurrency=(2,), requests=6, prompt_tokens=64, answer_tokens=16, request_timeout_s=20.0, token_timeout_s=5.0
)


@pytest.fixture
def simulate():
    """Start a simulated engine with known TTFT and TPOT; options are those of its command line."""
    with contextlib.ExitStack() as stack:
        yield lambda *options: stack.enter_context(
            running_simulator(f"--ttft-s={TTFT_S}", f"--tpot-s={TPOT_S}", *options)
        )


@pytest.fixture
def measured(simulate):
    """Measure a simulated engine: its options, then changes to the small workload."""

    def run(*options, api_key=None, **changes):
        return measure_server(simulate(*options).url, replace(SMALL, **changes), api_key=api_key)

    return run
