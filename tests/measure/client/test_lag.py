"""The client notices when its own event loop is late."""

import asyncio
import os
import time

from seatrial.measure.client.lag import BEAT_S, LagProbe


def test_a_blocked_loop_is_seen():
    """A loop that is blocked for a tenth of a second is late by at least most of it."""

    async def block():
        with LagProbe() as probe:
            while len(probe.lags_ns) < 2:  # noqa: ASYNC110 -- the probe has no event to wait for
                await asyncio.sleep(BEAT_S)
            time.sleep(0.1)  # noqa: ASYNC251 -- this is the fault
            seen = len(probe.lags_ns)
            while len(probe.lags_ns) == seen:  # noqa: ASYNC110 -- same
                await asyncio.sleep(BEAT_S)
            return max(probe.lags_ns) / 1e9

    assert asyncio.run(block()) > 0.05


def test_without_a_beat():
    """A probe that saw nothing claims no lag, and leaves no pipe or thread behind."""

    async def leave():
        with LagProbe() as probe:
            pass
        return probe.late_s(0.99)

    assert asyncio.run(leave()) >= 0.0


def test_the_newest_delays():
    """The largest delay since the last question is told once; then nothing is new."""
    probe = LagProbe()
    probe.lags_ns += [3_000_000, 5_000_000]
    assert (0.005, 0.0) == (probe.newest_s(), probe.newest_s())
    probe.lags_ns += [1_000_000]
    assert (0.001, 0.003) == (probe.newest_s(), probe.late_s(0.5))
    os.close(probe._reading)
    os.close(probe._writing)
