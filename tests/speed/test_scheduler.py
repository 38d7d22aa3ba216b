"""The closed forms against a scheduler that is played through: prompts first, then one step for all that run."""

import random
from collections import deque
from dataclasses import dataclass
from statistics import median

import pytest

from seatrial.speed import Ranks, ServingLoad, Work
from seatrial.speed.roofline import accepted_of, constants, gpu_speed, prefill_seconds, step_seconds

FLASH = Work(11_371_199_488, 147_169_738_752, 256, 6, 43, 13_270_101_591, 6_492_782_592, "fp4")
RANKS = Ranks(4, 1, 1, "h200", 4.8e12, 0.989e15, architecture="9.0")


@dataclass
class Request:
    """One request of the played run; times in seconds."""

    prompt: int
    answer: int
    arrived_s: float = 0.0
    first_s: float = 0.0
    done_s: float = 0.0
    left: float = 0.0


def play(load):
    """Return median TTFT and TPOT and the output rate of a run that decodes only while it reads no prompt."""
    fit, chance = constants(), random.Random(1)  # noqa: S311 -- lengths, not secrets
    accepted = accepted_of(load)
    per_token = prefill_seconds(FLASH, RANKS, load.others_prompt, fit) / load.mean_prompt
    requests = [
        Request(chance.randint(1, load.prompt_tokens), chance.randint(2, load.answer_tokens))
        for _ in range(load.requests)
    ]
    unsent = deque(requests)
    queue = deque(unsent.popleft() for _ in range(load.concurrency))
    running, now = [], 0.0
    while queue or running:
        if queue and len(running) < load.running_limit:
            one = queue.popleft()
            now += per_token * one.prompt
            one.first_s, one.left = now, one.answer - 1
            running.append(one)
            continue
        now += step_seconds(FLASH, RANKS, len(running), load, fit)[0]
        for one in running:
            one.left -= accepted
        for one in [one for one in running if one.left <= 0]:
            one.done_s = now
            running.remove(one)
            if unsent:
                unsent[0].arrived_s = now
                queue.append(unsent.popleft())
    return (
        median(one.first_s - one.arrived_s for one in requests),
        median((one.done_s - one.first_s) / (one.answer - 1) for one in requests),
        sum(one.answer for one in requests) / now,
    )


@pytest.mark.parametrize(
    ("streams", "limit", "requests", "drafts"),
    [
        (16, 256, 32, 3),
        (64, 256, 128, 1),
        (256, 256, 512, 1),
        (128, 32, 256, 0),
        (256, 64, 512, 0),
        (64, 16, 1024, 1),
    ],
)
def test_the_closed_forms_agree_with_a_scheduler(streams, limit, requests, drafts):
    """TPOT and output within 15 per cent; so is the wait, if requests queue."""
    load = ServingLoad(streams, limit, 8192, 1024, drafts, requests=requests, random_lengths=True)
    ttft, tpot, rate = play(load)
    found = gpu_speed(FLASH, RANKS, load)
    assert pytest.approx(tpot, rel=0.15) == found.tpot_s
    assert pytest.approx(rate, rel=0.15) == found.output_tokens_per_s
    if streams > limit:
        assert pytest.approx(ttft, rel=0.15) == found.ttft_s
