"""llama.cpp on real machines: published speeds of one request against plans from the machine's name."""

import json
import math
from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest

from seatrial import find_checkpoint, make_plan
from seatrial.hardware.named import named_machine
from seatrial.plan.load import work_of
from seatrial.speed import HostSide, Ranks, ServingLoad
from seatrial.speed.acceptance import accepted_tokens
from seatrial.speed.host import llamacpp_constants, split_speed
from seatrial.units import GIB

ROWS = json.loads(Path(__file__).with_name("llamacpp.json").read_text(encoding="utf-8"))["rows"]
NEAR, WIDEST, INSIDE = 0.35, 4.0, 0.8
"""Largest median log error, largest factor between the ends of an interval, least share of values inside."""


def plan_of(row):
    """Return the plan for the machine, checkpoint and lengths of a published run."""
    return make_plan(
        checkpoint=row["checkpoint"],
        hardware=named_machine(row["hardware"], row.get("host_memory_gib")),
        engine="llamacpp",
        prompt_tokens=row["prompt_tokens"],
        answer_tokens=row["answer_tokens"],
        tensor_parallel=row.get("tensor_parallel"),
        drafter="auto" if "draft_tokens" in row else None,
        draft_tokens=row.get("draft_tokens"),
    )


def planned(row):
    """Return the prediction of that plan."""
    return plan_of(row).prediction


def error(row):
    """Return the log of measured over predicted tokens a second, between tokens."""
    return math.log(row["decode_tokens_per_s"] * planned(row).tpot_s.expected)


@pytest.fixture(scope="module")
def errors():
    """Return the log error of each published run."""
    return {row["name"]: error(row) for row in ROWS}


@pytest.mark.parametrize("own", [True, False], ids=["llama.cpp and others", "llama.cpp only"])
def test_plans_come_near_published_runs(errors, own):
    """Median log error at most 0.35, four of five values within intervals whose ends differ by a factor of 4."""
    sizes = [abs(errors[row["name"]]) for row in ROWS if own or "measured_with" not in row]
    assert median(sizes) <= NEAR
    assert INSIDE <= sum(size <= math.log(WIDEST) / 2 for size in sizes) / len(sizes)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_intervals_are_no_wider_than_the_bar(row):
    """Low and high differ by at most a factor of 4."""
    tpot = planned(row).tpot_s
    assert tpot.high / tpot.low <= WIDEST * (1 + 1e-9)


def test_prompts_are_read_about_as_fast():
    """Tokens of a prompt a second: half of the published values within a factor of 2."""
    rows = [row for row in ROWS if "prompt_tokens_per_s" in row]
    found = [row["prompt_tokens"] / planned(row).ttft_s.expected / row["prompt_tokens_per_s"] for row in rows]
    assert 0.5 <= sum(0.5 <= ratio <= 2 for ratio in found) / len(found)


def inputs(row):
    """Return what the speed of a row's plan is computed from."""
    plan = plan_of(row)
    work, hardware = work_of(find_checkpoint(row["checkpoint"])), plan.hardware
    on_gpu = min(plan.gpu_layers, work.layers)
    host = HostSide(
        dense_share=1 - on_gpu / work.layers,
        expert_share=1 - max(0, on_gpu - plan.cpu_expert_layers) / work.layers,
        threads=None,
        bandwidth_bytes_per_s=hardware.host.bandwidth_bytes_per_s,
        memory_bytes=hardware.host.memory_bytes or 512 * GIB,  # as ample as the plan takes it
        tensor_split="tensor_parallel" in row,
    )
    gpu = next(iter(hardware.gpus), None)
    ranks = gpu and Ranks(len(hardware.gpus), 1, 1, gpu.accelerator, gpu.bandwidth_bytes_per_s, gpu.bf16_flops)
    drafts = row.get("draft_tokens", 0)
    accepted = accepted_tokens(drafts, "dspark", workload=None, engine="llamacpp") if drafts else None
    load = ServingLoad(1, 1, row["prompt_tokens"], row["answer_tokens"], drafts, accepted=accepted)
    return work, host, ranks, load


FITTED = [
    ("gpu", "bandwidth_share"),
    ("gpu", "layer_s"),
    ("gpu", "unified_layer_s"),
    ("cpu", "barrier_s"),
    ("hosts", 0),
    ("hosts", 1),
]
"""Constants that decide about decoding: shares and times, and the memory of a desktop and of a server."""


def changed(fit, part, name, factor):
    """Return constants of which one is larger by a factor."""
    if part == "hosts":
        hosts = list(fit.hosts)
        hosts[name] = replace(hosts[name], memory_bytes_per_s=hosts[name].memory_bytes_per_s * factor)
        return replace(fit, hosts=tuple(hosts))
    group = getattr(fit, part)
    return replace(fit, **{part: replace(group, **{name: getattr(group, name) * factor})})


def fit_to(cases, start):
    """Return the constants with the least error over the cases, found by making one at a time larger or smaller."""

    def loss(fit):
        return sum(math.hypot(math.log(rate * split_speed(*case, fit).tpot_s), 0.15) for case, rate in cases)

    best, least = start, loss(start)
    for width in (0.5, 0.5, 0.25, 0.12, 0.06):
        for name in FITTED:
            for step in (-width, width):
                trial = changed(best, *name, math.exp(step))
                if (found := loss(trial)) < least:
                    best, least = trial, found
    return best


def test_machines_left_out_of_the_fit_are_still_predicted(errors):
    """From constants that start far off and are fitted to all other machines: the same bar."""
    cases = {row["name"]: (inputs(row), row["decode_tokens_per_s"]) for row in ROWS}
    start = llamacpp_constants()
    for number, name in enumerate(FITTED):
        start = changed(start, *name, (0.6, 1.6)[number % 2])
    found = []
    for machine in sorted({row["hardware"] for row in ROWS}):
        fit = fit_to([cases[row["name"]] for row in ROWS if row["hardware"] != machine], start)
        for row in ROWS:
            case, rate = cases[row["name"]]
            assert pytest.approx(errors[row["name"]], abs=1e-6) == math.log(rate * split_speed(*case).tpot_s)
            if row["hardware"] == machine:
                found.append(abs(math.log(rate * split_speed(*case, fit).tpot_s)))
    assert median(found) <= NEAR
    assert INSIDE <= sum(size <= math.log(WIDEST) / 2 for size in found) / len(found)


def table(errors):
    """Return a Markdown table of every run: measured, predicted, and their ratio."""
    lines = ["| run | tokens/s | predicted | measured / predicted |", "|---|---|---|---|"]
    for row in ROWS:
        ratio = math.exp(errors[row["name"]])
        other = f" ({row['measured_with']})" if "measured_with" in row else ""
        rate = row["decode_tokens_per_s"]
        lines.append(f"| {row['name']}{other} | {rate:.1f} | {rate / ratio:.1f} | {ratio:.2f} |")
    return "\n".join(lines)


def test_the_page_shows_every_run(errors):
    """docs/planning.md holds the table; if this fails, the right one is in the message."""
    assert table(errors) in (Path(__file__).parents[2] / "docs" / "planning.md").read_text(encoding="utf-8")


def test_a_host_of_unknown_size_is_a_server_as_the_plan_takes_it_as_ample():
    """Its memory is read as fast as that of the largest host, and the basis says that this is assumed."""
    machines = {
        name: named_machine("rtx4090x1", gib) for name, gib in (("known", 512), ("unknown", None), ("desk", 192))
    }
    checkpoint = "unsloth/DeepSeek-V4-Flash-0731-GGUF:UD-Q4_K_XL"
    found = {
        name: make_plan(checkpoint=checkpoint, hardware=machine, engine="llamacpp").prediction
        for name, machine in machines.items()
    }
    assert found["known"].tpot_s == found["unknown"].tpot_s
    assert found["unknown"].tpot_s.expected < found["desk"].tpot_s.expected
    assert "140 GB/s are assumed for its size" in found["unknown"].basis
