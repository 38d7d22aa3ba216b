"""What servers say of themselves: Prometheus text by each engine's names, garbage included, and a real server's."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.conftest import until

from seatrial.catalog.engine_facts import engine_facts, engine_ids
from seatrial.hardware import detect_hardware
from seatrial.launching import launch
from seatrial.plan import make_plan
from seatrial.server import loopback
from seatrial.server.metrics import ServerMetrics, read_metrics, recognise, samples

SGLANG = """
# HELP sglang:num_running_reqs The number of running requests.
# TYPE sglang:num_running_reqs gauge
sglang:num_running_reqs{engine_type="unified",model_name="m",dp_rank="0"} 3.0
sglang:num_running_reqs{engine_type="unified",model_name="m",dp_rank="1"} 2.0
sglang:num_queue_reqs{model_name="m"} 7.0 1764000000000
sglang:token_usage{dp_rank="0"} 0.25
sglang:token_usage{dp_rank="1"} 0.75
sglang:generation_tokens_total{model_name="a \\"quoted\\" } name"} 1.5e+03
sglang:prompt_tokens_total{} 64
"""


def read(engine, text):
    """Read the text by an engine's own names."""
    return read_metrics(text, engine_facts(engine).metrics)


def test_replicas_add_up_and_the_fullest_cache_counts():
    """Labels, quoted braces, exponents, time stamps: the text format as it is."""
    assert ServerMetrics(running=5, waiting=7, kv_cache_usage=0.75, generated_tokens=1500, prompt_tokens=64) == read(
        "sglang", SGLANG
    )


def test_vllm_is_read_by_its_own_names():
    """Counters end in _total; series of histograms are others."""
    text = 'vllm:num_requests_running{engine="0"} 1\nvllm:num_requests_waiting 0\nvllm:kv_cache_usage_perc 0.5\n'
    text += "vllm:generation_tokens_total 10\nvllm:prompt_tokens_total 20\nvllm:generation_tokens_created 1.7e9\n"
    assert ServerMetrics(1, 0, 0.5, 10, 20) == read("vllm", text)


def test_vllm_tells_what_it_drafted():
    """The same three counters, one series for each engine process."""
    series = ("drafts_total", 5), ("draft_tokens_total", 15), ("accepted_tokens_total", 8)
    text = "".join(f'vllm:spec_decode_num_{name}{{engine="{at}"}} {value}\n' for name, value in series for at in (0, 1))
    assert ServerMetrics(draft_steps=10, drafted_tokens=30, accepted_tokens=16) == read("vllm", text)


VLLM = """
vllm:num_requests_running{engine="0",model_name="m"} 2.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 9.0
vllm:prompt_tokens_total{engine="0"} 900.0
vllm:prompt_tokens_cached_total{engine="0"} 500.0
vllm:prompt_tokens_cached_total{engine="1"} 20.0
vllm:prefix_cache_hits_total{engine="0"} 480.0
vllm:num_preemptions_total{engine="0"} 3.0
vllm:iteration_tokens_total_bucket{le="8.0"} 7.0
"""


def test_the_first_name_that_is_there_counts():
    """The counts of two releases are never added up."""
    assert ServerMetrics(running=2, prompt_tokens=900, cached_tokens=520, preemptions=3) == read("vllm", VLLM)
    older = VLLM.replace("prompt_tokens_cached", "prompt_tokens_other")
    assert 480 == read("vllm", older).cached_tokens
    assert 7 == read("vllm", "vllm:gpu_prefix_cache_hits_total 7").cached_tokens
    assert 0.5 == read("vllm", "vllm:gpu_cache_usage_perc 0.5").kv_cache_usage


@pytest.mark.parametrize(
    ("line", "tokens"),
    [
        ("vllm:generation_tokens_total 5", 5),
        ("vllm:generation_tokens 5", 5),
        ("vllm_generation_tokens_total 5", 5),
        ("  vllm:generation_tokens_total\t5", 5),
        ('vllm:generation_tokens_total {a="b"} 5', 5),
        ("vllm:generation_tokens_totals 5", None),
        ("vllm:generation_tokens_total 1e300", None),
    ],
)
def test_spellings_of_a_counter(line, tokens):
    """Some exporters leave out the end or the colon; a number beyond all counting is none."""
    assert tokens == read("vllm", line).generated_tokens


RANKS = """
sglang:num_running_reqs{dp_rank="0",tp_rank="0",pp_rank="0",priority=""} 3.0
sglang:num_running_reqs{dp_rank="0",tp_rank="0",pp_rank="1",priority=""} 2.0
sglang:num_running_reqs{dp_rank="1",tp_rank="4",pp_rank="0",priority=""} 5.0
sglang:num_running_reqs{dp_rank="1",tp_rank="4",pp_rank="0",priority="7"} 4.0
sglang:cached_tokens_total{cache_source="device"} 100.0
sglang:cached_tokens_total{cache_source="host"} 20.0
sglang:num_retracted_requests_total{tp_rank="0"} 1.0
sglang:spec_verify_calls_total 40.0
"""


def test_ranks_of_sglang_are_copies_and_priorities_are_parts():
    """A pipeline's stages show the same requests; replicas add up, and so do the sources of cached tokens."""
    assert ServerMetrics(running=8, cached_tokens=120, preemptions=1, draft_steps=40) == read("sglang", RANKS)


def test_llama_cpp_counts_cached_tokens_beside_the_prompt():
    """The others count them as part of it."""
    text = "llamacpp:prompt_tokens_total 30\nllamacpp:prompt_tokens_cached_total 70\n"
    assert ServerMetrics(prompt_tokens=100, cached_tokens=70) == read("llamacpp", text)


MLX = '{"latest": null, "summary": {"in_flight": 2, "prompt_tokens_total": 64, "generated_tokens_total": 1500}}'


@pytest.mark.parametrize(
    ("text", "figures"),
    [
        (MLX, ServerMetrics(running=2, prompt_tokens=64, generated_tokens=1500)),
        (MLX[:40], ServerMetrics()),
        ("{}", ServerMetrics()),
        ('{"summary": [2]}', ServerMetrics()),
        ('{"summary": {"in_flight": true}}', ServerMetrics()),
        ('{"summary": {"in_flight": "2"}}', ServerMetrics()),
        ('{"summary": {"in_flight": -2}}', ServerMetrics()),
        ('{"summary": {"in_flight": 1e999}}', ServerMetrics()),
        ('{"summary": {"in_flight": NaN}}', ServerMetrics()),
    ],
)
def test_mlx_answers_in_json(text, figures):
    """Dots lead to a number; what is no count is unknown."""
    assert figures == read("mlx", text)


@pytest.mark.parametrize(
    ("text", "engine"),
    [
        (SGLANG, "sglang"),
        (VLLM, "vllm"),
        ("llamacpp:requests_processing 0", "llamacpp"),
        (MLX, "mlx"),
        ("simulated_requests_running 0", "simulated"),
        ("process_cpu_seconds_total 5", None),
        ("<html><body>Not found</body></html>", None),
        ("", None),
    ],
)
def test_an_engine_is_known_by_its_names(text, engine):
    """A page tells whose it is, or that it is nobody's."""
    assert engine == recognise(text)


def test_llama_cpp_tells_what_it_drafted():
    """Three counters, as the server of b11549 writes them; those of each position are others."""
    text = "llamacpp:spec_decode_num_draft_tokens_total 183\nllamacpp:spec_decode_num_accepted_tokens_total 12\n"
    text += 'llamacpp:spec_decode_num_drafts_total 62\nllamacpp:spec_decode_num_accepted_tokens_per_pos_total{position="0"} 9\n'
    assert ServerMetrics(draft_steps=62, drafted_tokens=183, accepted_tokens=12) == read("llamacpp", text)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "# HELP",
        "sglang:num_running_reqs",
        "sglang:num_running_reqs NaN",
        "sglang:num_running_reqs +Inf",
        "sglang:num_running_reqs -1",
        "sglang:num_running_reqs three",
        'sglang:num_running_reqs{a="b 3',
        "sglang:num_running_reqs 1 2 3",
        "<html><body>sglang:num_running_reqs 3</body></html>",
        "sglang:num_running_reqs_total 3",
        "\0\0\0",
    ],
)
def test_what_is_no_sample_is_passed_over(line):
    """Unknown is None, never 0."""
    assert ServerMetrics() == read("sglang", line)


@given(st.text())
def test_nothing_a_server_sends_breaks_the_reader(text):
    """Whatever the bytes, figures are counts of at least 0 or unknown."""
    for engine in engine_ids():
        found = read(engine, text)
        assert found.kv_cache_usage is None or 0 <= found.kv_cache_usage <= 1
        assert all(value is None or value >= 0 for value in (found.running, found.waiting))


@pytest.mark.parametrize(
    "line", ['a{"' + '{"' * (1 << 19), "a" + "{" * (1 << 20), "a " + "1 " * (1 << 19), "[" * (1 << 20), "{" * (1 << 20)]
)
def test_a_megabyte_of_braces_is_read_in_no_time(line):
    """The longest answer that is taken, in the worst form: no backtracking without end."""
    assert [] == list(samples(line, {"a"}))


def test_an_engine_without_metrics_says_why():
    """Every other names at least the requests that run."""
    for engine in engine_ids():
        table = engine_facts(engine).metrics
        assert (not table.running) == bool(table.none)


@pytest.mark.engine
def test_the_real_server_tells_what_it_does(require):
    """llama.cpp counts tokens, and a request that is being served."""
    require("xllamacpp")
    require("stand-in model")
    plan = make_plan("smollm2", hardware=detect_hardware(), concurrency=1, context_tokens=2048)
    with launch(plan) as server:
        before = server.metrics()
        asked = {"model": server.model, "prompt": "The sea is", "max_tokens": 400, "ignore_eos": True}
        sent = threading.Thread(
            target=lambda: loopback.ask(server.port, "/v1/completions", key=server.api_key(), body=asked, timeout_s=120)
        )
        sent.start()
        until(lambda: (server.metrics() or ServerMetrics()).running == 1, "a running request in /metrics")
        sent.join()
        after = server.metrics()
        assert 400 == after.generated_tokens - before.generated_tokens
        assert after.prompt_tokens > before.prompt_tokens
        assert 0 == after.waiting
        assert after.kv_cache_usage is None
        loopback.ask(
            server.port, "/v1/completions", key=server.api_key(), body=asked | {"max_tokens": 1}, timeout_s=120
        )
        again = server.metrics()
        assert again.cached_tokens > after.cached_tokens
        assert again.prompt_tokens - after.prompt_tokens == after.prompt_tokens - before.prompt_tokens
    assert server.metrics() is None
