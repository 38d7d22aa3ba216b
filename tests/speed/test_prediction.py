"""Predicted speeds: physics first."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as some

from seatrial.hardware.accelerators import accelerators
from seatrial.speed import HostSide, Ranks, ServingLoad, Work, predict_speed
from seatrial.speed.acceptance import accepted_tokens
from seatrial.speed.rate import compute_rate
from seatrial.speed.roofline import constants
from seatrial.speed.work import benchmark_requests

FLASH = Work(
    dense_bytes=11_000_000_000,
    expert_bytes=147_000_000_000,
    experts=256,
    experts_per_token=6,
    layers=43,
    active_parameters=13_270_101_591,
    routed_parameters=6_492_782_592,
    precision="fp4",
)
SMALL = Work(98_000_000, 0, 0, 0, 30, 134_515_008)
FOUR_H200S = Ranks(4, 1, 1, "h200", 4.8e12, 0.989e15, architecture="9.0")


def test_expected_experts_follow_the_formula():
    """One token touches k of E experts; many touch nearly all."""
    assert FLASH.expert_share(1) == pytest.approx(6 / 256)
    assert FLASH.expert_share(2) == pytest.approx(1 - (1 - 6 / 256) ** 2)
    assert FLASH.expert_share(10_000) == pytest.approx(1.0)
    assert SMALL.expert_share(1) == pytest.approx(1.0)


@given(first=some.integers(1, 600), second=some.integers(1, 600), data=some.sampled_from([1, 4]))
def test_more_streams_are_slower_each_and_faster_together(first, second, data):
    """TPOT and TTFT never fall and the output of a run that goes on never falls as streams are added."""
    low, high = sorted((first, second))
    ranks = Ranks(4, 1, data, "h200", 4.8e12, 0.989e15, architecture="9.0")
    few = predict_speed(FLASH, ServingLoad(low, 256, 1024, 256), ranks=ranks)
    many = predict_speed(FLASH, ServingLoad(high, 256, 1024, 256), ranks=ranks)
    assert few.tpot_s.expected <= many.tpot_s.expected
    assert few.ttft_s.expected <= many.ttft_s.expected
    assert few.decode_tokens_per_s.expected <= many.decode_tokens_per_s.expected * (1 + 1e-9)


@given(
    slower=some.floats(0.1, 1.0),
    streams=some.integers(1, 512),
    prompt=some.integers(1, 100_000),
    data=some.sampled_from([1, 4]),
    drafts=some.integers(0, 7),
)
def test_a_faster_gpu_is_never_slower(slower, streams, prompt, data, drafts):
    """Less bandwidth or compute never makes anything better, nor does one more node."""
    load = ServingLoad(streams, 256, prompt, 256, drafts, requests=benchmark_requests(streams), random_lengths=True)
    best = predict_speed(FLASH, load, ranks=Ranks(4, 1, data, "h200", 4.8e12, 0.989e15))
    for ranks in (
        Ranks(4, 1, data, "h200", 4.8e12 * slower, 0.989e15),
        Ranks(4, 1, data, "h200", 4.8e12, 0.989e15 * slower),
        Ranks(4, 2, data, "h200", 4.8e12, 0.989e15),
    ):
        worse = predict_speed(FLASH, load, ranks=ranks)
        assert worse.tpot_s.expected >= best.tpot_s.expected
        assert worse.ttft_s.expected >= best.ttft_s.expected * (1 - 1e-9)
        assert worse.decode_tokens_per_s.expected <= best.decode_tokens_per_s.expected


@given(count=some.sampled_from([1, 2, 4, 8]), streams=some.integers(1, 512))
def test_more_gpus_are_never_slower_in_one_machine(count, streams):
    """Twice the GPUs split the same work further."""
    load = ServingLoad(streams, 256, 4096, 512)
    few = predict_speed(FLASH, load, ranks=Ranks(count, 1, 1, "h200", 4.8e12, 0.989e15))
    many = predict_speed(FLASH, load, ranks=Ranks(2 * count, 1, 1, "h200", 4.8e12, 0.989e15))
    assert many.tpot_s.expected <= few.tpot_s.expected
    assert many.decode_tokens_per_s.expected >= few.decode_tokens_per_s.expected


def test_beyond_the_running_limit_requests_wait():
    """Where fewer run than are sent, the first token comes later and the rate stays."""
    limited = predict_speed(FLASH, ServingLoad(64, 16, 8192, 1024), ranks=FOUR_H200S)
    within = predict_speed(FLASH, ServingLoad(17, 16, 8192, 1024), ranks=FOUR_H200S)
    assert within.decode_tokens_per_s == limited.decode_tokens_per_s
    assert within.tpot_s == limited.tpot_s
    assert limited.ttft_s.expected > within.ttft_s.expected
    assert "48 of 64 requests wait" in limited.basis


def test_a_queue_obeys_littles_law():
    """In a run that goes on, requests sent = request rate x (time to first token + answer time), but for the start."""
    load = ServingLoad(256, 16, 8192, 1024)
    speed = predict_speed(FLASH, load, ranks=FOUR_H200S)
    turn = speed.ttft_s.expected + 1024 * speed.tpot_s.expected
    assert pytest.approx(256, rel=0.01) == speed.decode_tokens_per_s.expected / 1024 * turn


def test_a_run_that_ends_waits_less():
    """With as many requests as are sent at once, the median one waits for half of them."""
    endless = predict_speed(FLASH, ServingLoad(256, 16, 8192, 1024), ranks=FOUR_H200S)
    ends = predict_speed(FLASH, ServingLoad(256, 16, 8192, 1024, requests=256), ranks=FOUR_H200S)
    assert pytest.approx(endless.ttft_s.expected * (128 - 16) / (256 - 16), rel=0.05) == ends.ttft_s.expected
    assert "256 in all" in ends.basis


def test_published_runs_sent_these_numbers_of_requests():
    """32 requests at the least, twice as many as run at once, 4,096 at the most."""
    assert [32, 32, 128, 512, 2048, 4096, 8192] == [benchmark_requests(n) for n in (1, 16, 64, 256, 1024, 4096, 8192)]


def test_a_queue_of_one_is_no_cliff():
    """One request more than run at once: the first token comes a little later, not after a turn of the others."""
    all_run, one_waits, many_wait = (
        predict_speed(
            FLASH, ServingLoad(streams, 15, 8192, 1024, requests=benchmark_requests(streams)), ranks=FOUR_H200S
        ).ttft_s.expected
        for streams in (15, 16, 60)
    )
    assert all_run < one_waits < all_run * 1.2
    assert many_wait > 2 * all_run


def test_a_drafter_that_reads_prompts_too_delays_the_first_token():
    """DSpark's own layers read each prompt; the MTP head's first token is not later than without drafts."""
    none, mtp, dspark = (
        predict_speed(FLASH, ServingLoad(1, 1, 256, 256, drafts, draft_method=method), ranks=FOUR_H200S).ttft_s.expected
        for drafts, method in ((0, "dspark"), (5, "mtp"), (5, "dspark"))
    )
    assert none == mtp < dspark


def test_more_accepted_drafts_are_faster():
    """The tokens a step yields divide the steps; what the table says of random text counts if none are given."""
    load = ServingLoad(1, 1, 256, 256, 3)
    few, usual, many = (
        predict_speed(FLASH, replace(load, accepted=accepted), ranks=FOUR_H200S).tpot_s.expected
        for accepted in (1.0, None, 4.0)
    )
    assert pytest.approx(4 * many) == few == pytest.approx(accepted_tokens(3) * usual)


def test_deepep_takes_time_at_every_step():
    """The same GPUs with attention replicas are slower if tokens reach experts through DeepEP."""
    load = ServingLoad(64, 256, 8192, 1024)
    ranks = Ranks(4, 1, 4, "b300", 7.75e12, 4.5e15, architecture="10.3")
    plain, deepep = (predict_speed(FLASH, load, ranks=replace(ranks, deepep=way)) for way in (False, True))
    assert pytest.approx(constants().deepep_s) == deepep.tpot_s.expected - plain.tpot_s.expected


def test_the_basis_gives_the_speed_on_text_that_people_write():
    """Random text, as in the calibration, and code with thinking on and off, each with the rate it makes."""
    load = ServingLoad(16, 256, 8192, 1024, 3, draft_model="pro", requests=32, random_lengths=True)
    prediction = predict_speed(FLASH, load, ranks=FOUR_H200S)
    told = re.findall(r"([\d.]+) with thinking (\w+): about ([\d,]+) tokens/s", prediction.basis)
    assert "With 3 drafted tokens a step yields 3.04 on random text, as in those runs" in prediction.basis
    assert [("2.49", "on"), ("2.97", "off")] == [row[:2] for row in told]
    rates = [float(row[2].replace(",", "")) for row in told]
    assert rates[0] < rates[1] < prediction.decode_tokens_per_s.expected


def test_the_basis_names_another_model_that_acceptance_was_measured_with():
    """Nobody measured Flash on code, so Pro's figures stand there as Pro's."""
    load = ServingLoad(16, 256, 8192, 1024, 3, draft_model="flash")
    basis = predict_speed(FLASH, load, ranks=FOUR_H200S).basis
    assert "on code 2.49 with thinking on (measured with V4-Pro preview): about" in basis
    assert "measured with" not in predict_speed(FLASH, replace(load, draft_model="pro"), ranks=FOUR_H200S).basis


def test_the_basis_names_another_model_of_llamacpp():
    """Its published runs drafted for V4-Flash-0731; they do not say whether it thought."""
    load = ServingLoad(1, 1, 512, 256, 3, draft_method="dspark", draft_model="pro", accepted=2.6)
    pro, flash = (
        predict_speed(FLASH, replace(load, draft_model=model), host=HostSide(1, 1, 8, None), engine="llamacpp").basis
        for model in ("pro", "flash")
    )
    assert "2.61 on prose (measured with V4-Flash-0731) and 2.71 on code (measured with V4-Flash-0731)" in pro
    assert "2.61 on prose and 2.71 on code, as" in flash


@pytest.mark.parametrize("layers", [43, 60, 61])
def test_a_model_wholly_on_the_host_is_known_by_its_shares(layers):
    """Sums of bytes as floats may differ in the last digit; a share of one does not."""
    assert HostSide(1 - 0 / layers, 1 - 0 / layers, 8, None).has_all
    assert [False, False] == [HostSide(*shares, 8, None).has_all for shares in ((0.0, 1.0), (1 - 1 / layers, 1.0))]


@pytest.mark.parametrize(
    ("ranks", "missing"),
    [
        (Ranks(1, 1, 1, "x", None, 1e15), "bandwidth of x"),
        (Ranks(1, 1, 1, "mi350x", 8e12, None, "neither rate is known"), "compute rate of mi350x"),
        (None, "neither GPUs nor a host"),
    ],
)
def test_what_is_missing_is_named(ranks, missing):
    """Unknown stays unknown, and the basis says which figure is missing."""
    prediction = predict_speed(FLASH, ServingLoad(1, 1, 128, 64), ranks=ranks)
    assert [None, None, None] == [prediction.tpot_s, prediction.ttft_s, prediction.decode_tokens_per_s]
    assert missing in prediction.basis


@pytest.mark.parametrize(
    ("accelerator", "precision", "expected"),
    [
        ("h200", "fp8", 1978e12),
        ("h200", "fp4", 989e12),
        ("b200", "fp4", 4500e12),
        ("a100-80gb", "fp8", 312e12),
        ("gb10", "fp4", 250e12),
        ("mi350x", "fp8", None),
    ],
)
def test_the_rate_is_that_of_the_units_used(accelerator, precision, expected):
    """FP4 experts are widened to BF16 on Hopper; a GPU with only an FP4 figure counts with half of it."""
    gpu = accelerators()[accelerator].to_gpu(None)
    assert expected == compute_rate(accelerator, precision, gpu.bf16_flops, gpu.fp8_flops).flops


def test_unlike_gpus_and_engines_have_wider_intervals():
    """Calibrated generations under SGLang are narrow, everything else is not, and the basis says why."""
    load = ServingLoad(16, 256, 8192, 1024)
    near = predict_speed(FLASH, load, ranks=Ranks(1, 1, 1, "dgx-station-gb300", 7.1e12, 4.5e15, architecture="10.3"))
    far = predict_speed(FLASH, load, ranks=Ranks(8, 1, 1, "mi300x", 5.3e12, 2.6e15, architecture="gfx942"))
    other = predict_speed(FLASH, load, ranks=FOUR_H200S, engine="vllm")
    nodes = predict_speed(FLASH, load, ranks=Ranks(16, 2, 1, "h200", 4.8e12, 0.989e15, architecture="9.0"))
    assert near.tpot_s.high / near.tpot_s.low <= 2.5 < far.tpot_s.high / far.tpot_s.low
    assert other.tpot_s.high / other.tpot_s.low > 2.5
    assert nodes.tpot_s.high / nodes.tpot_s.low > 2.5
    assert "of its generation" in near.basis
    assert "wide interval" in far.basis


def test_host_memory_is_slower_than_a_gpu():
    """Experts in host memory cost time, and the basis says what was assumed."""
    gpu = Ranks(1, 1, 1, "rtx4090", 1.008e12, 1.65e14)
    inside = predict_speed(FLASH, ServingLoad(1, 1, 128, 64), ranks=gpu, host=HostSide(0, 0, 8, None))
    outside = predict_speed(FLASH, ServingLoad(1, 1, 128, 64), ranks=gpu, host=HostSide(0, 1, 8, None))
    assert inside.tpot_s.expected < outside.tpot_s.expected
    assert "assumed" in outside.basis


@given(first=some.integers(1, 256), second=some.integers(1, 256), flops=some.sampled_from([None, 1.65e14]))
def test_more_streams_never_slow_llamacpp_down_together(first, second, flops):
    """With everything on the GPU, each stream is slower beside others and all together are not, known rate or not."""
    low, high = sorted((first, second))
    gpu = Ranks(1, 1, 1, "m3-ultra", 8.19e11, flops)
    few, many = (
        predict_speed(FLASH, ServingLoad(streams, 256, 512, 256), ranks=gpu, host=HostSide(0, 0, 8, None))
        for streams in (low, high)
    )
    assert few.tpot_s.expected <= many.tpot_s.expected
    assert few.ttft_s.expected <= many.ttft_s.expected
    assert few.decode_tokens_per_s.expected <= many.decode_tokens_per_s.expected * (1 + 1e-9)


def test_a_measured_host_has_a_narrower_interval():
    """What llama.cpp's own threads reach says more than a bandwidth, and the basis names the day."""
    load = ServingLoad(1, 1, 128, 64)
    known = predict_speed(SMALL, load, host=HostSide(1, 1, 4, 5e10)).tpot_s
    measured = predict_speed(
        SMALL, load, host=HostSide(1, 1, 4, 5e10, decode_bytes_per_s=2e10, measured_at="2026-11-30T08:00:00+00:00")
    )
    assert measured.tpot_s.high / measured.tpot_s.low < known.high / known.low
    assert "multiply 20.0 GB/s of weights here, measured on 2026-11-30" in measured.basis


@given(rate=some.floats(1e9, 1e12), faster=some.floats(1.0, 10.0))
def test_a_faster_host_is_never_slower(rate, faster):
    """More measured bytes a second, or a higher bandwidth, never costs time."""
    load = ServingLoad(2, 2, 128, 64)
    for name in ("decode_bytes_per_s", "bandwidth_bytes_per_s", "prompt_flops"):
        slow, fast = (
            predict_speed(
                SMALL,
                load,
                host=HostSide(
                    **{"dense_share": 1, "expert_share": 1, "threads": 8, "bandwidth_bytes_per_s": None} | {name: value}
                ),
            )
            for value in (rate, rate * faster)
        )
        assert fast.tpot_s.expected <= slow.tpot_s.expected
        assert fast.ttft_s.expected <= slow.ttft_s.expected


def test_tensors_divided_over_gpus_are_faster_than_layers():
    """Published: 1.24 to 1.29 times for answers, and for prompts 1.3 times on four GPUs and 2.7 on eight."""
    for count, prompts in ((4, 1.33), (8, 2.67)):
        load = ServingLoad(1, 1, 8192, 64)
        gpus = Ranks(count, 1, 1, "rtx4090", 1.008e12, 1.65e14)
        layers, tensors = (
            predict_speed(FLASH, load, ranks=gpus, host=HostSide(0, 0, 8, None, tensor_split=split))
            for split in (False, True)
        )
        assert 1.24 <= layers.tpot_s.expected / tensors.tpot_s.expected <= 1.29
        assert pytest.approx(prompts, rel=0.05) == layers.ttft_s.expected / tensors.ttft_s.expected


def test_a_drafter_is_worth_it_if_its_bytes_are_read_on_a_gpu():
    """Published on a DGX Spark: 1.55 to 1.60 times as fast with three drafted tokens; from host memory hardly."""
    spark, card = Ranks(1, 1, 1, "gb10", 2.73e11, 1.25e14), Ranks(1, 1, 1, "rtx4090", 1.008e12, 1.65e14)
    gains = {}
    for name, ranks, host in (("gpu", spark, HostSide(0, 0, 8, None)), ("host", card, HostSide(0, 1, 8, None))):
        plain, drafted = (
            predict_speed(FLASH, ServingLoad(1, 1, 512, 256, drafts), ranks=ranks, host=host).tpot_s.expected
            for drafts in (0, 3)
        )
        gains[name] = plain / drafted
    assert 1.4 <= gains["gpu"] <= 2.0
    assert gains["host"] < gains["gpu"]
