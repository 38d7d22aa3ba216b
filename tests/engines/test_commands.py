"""Commands: flags the current engines accept, nothing secret in them, the same choices as the plan."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.plan.cell_plans import plan_of_cell

from seatrial.catalog.engine_facts import engine_facts, engine_ids, is_older
from seatrial.engines import ENGINES, build_command, machine_commands
from seatrial.engines.simulated import LONGEST_TPOT_S, LONGEST_TTFT_S
from seatrial.engines.snapshot import read_snapshot, rejected
from seatrial.errors import DoesNotFitError, RefusedError, UnknownNameError
from seatrial.flags import Flags
from seatrial.hardware import detect_hardware
from seatrial.memory.options import Options
from seatrial.plan import make_plan
from seatrial.plan.vendor.recipes import cells
from seatrial.records import Interval


@pytest.fixture
def stand_in():
    """Return the plan of the small stand-in on this machine's CPU, for four requests."""
    return make_plan("smollm2", hardware=detect_hardware("cpu"), concurrency=4, context_tokens=2048)


@pytest.mark.parametrize("cell", cells(), ids=[f"{c.engine} {c.name} {c.checkpoint}" for c in cells()])
def test_every_recipe_renders_to_accepted_flags(cell):
    """The vendor's cell passes the engine's own parser as it was dumped, but for what only its container takes."""
    plan = plan_of_cell(cell)
    assert plan.runs
    command = build_command(plan)
    assert () == rejected(cell.engine, command.flags.without(cell.image_flags))
    assert len(command.argv) == len(set(command.argv))


@pytest.mark.parametrize("cell", [c for c in cells() if c.engine == "sglang"], ids=lambda c: f"{c.name} x{c.nodes}")
def test_a_cell_keeps_every_setting_of_the_vendor(cell):
    """Nothing the vendor set is lost or changed."""
    rendered = build_command(plan_of_cell(cell)).flags
    for name, value in cell.flags.items():
        if name == "--mem-fraction-static":
            assert float(value) == float(rendered[name])
        elif name == "--context-length":  # the plan's own, which may be shorter
            assert int(value) >= int(rendered[name])
        else:
            assert value == rendered[name]


def test_sglang_s_window_pool_is_the_share_the_footprint_counts():
    """With --max-running-requests alone SGLang 0.5.23 sizes that pool by requests instead."""
    own = make_plan(hardware=detect_hardware("h200x4"), engine="sglang", recipes=False)
    values = build_command(own).flags
    assert "--max-running-requests" in values
    assert str(Options().swa_ratio) == values["--swa-full-tokens-ratio"]


def test_sglang_gets_its_key_from_a_file_and_listens_here_alone():
    """No key in argv: a YAML file holds it; loopback by default; no remote code."""
    command = build_command(make_plan(hardware=detect_hardware("h200x4")))
    values = command.flags
    assert "127.0.0.1" == values["--host"]
    assert "{key_file}" == values["--config"]
    assert 'api-key: "k1"\n' == command.key_file_text.format(key="k1")
    assert ".yaml" == command.key_file_suffix
    # SGLang 0.5.23 ignores --config=FILE silently: the server would take requests without a key.
    assert "{key_file}" == command.argv[command.argv.index("--config") + 1]
    assert not {"--trust-remote-code", "--api-key"} & set(values)


def test_several_machines_have_a_command_each():
    """Only the address of the first is left open, and SGLang takes an address with a port alone."""
    command = build_command(make_plan("pro", hardware=detect_hardware("h100x8"), nodes=2))
    each = machine_commands(command)
    values = [Flags.from_words(one.argv) for one in each]
    assert ["0", "1"] == [found["--node-rank"] for found in values]
    assert {("2", "{head_address}:20000")} == {(found["--nnodes"], found["--dist-init-addr"]) for found in values}
    assert ["1", "1"] == [one.env["SGLANG_SHARED_EXPERT_TP1"] for one in each]


@pytest.mark.parametrize("cell", [c for c in cells() if c.nodes > 1], ids=lambda c: f"{c.engine} {c.name}")
def test_every_machine_s_command_passes_the_parser(cell):
    """Each rank once, the head first; machines after it add what the engine's data file says."""
    worker = engine_facts(cell.engine).versions.worker_flag
    each = machine_commands(build_command(plan_of_cell(cell)))
    assert list(range(cell.nodes)) == [one.rank for one in each]
    for one in each:
        flags = Flags.from_words(one.argv)
        assert () == rejected(cell.engine, flags.without(cell.image_flags))
        assert not any("{node_rank}" in word for word in one.argv)
        assert (worker in flags) == bool(worker and one.rank)


def test_one_machine_has_one_command(stand_in):
    """The very one that is launched."""
    command = build_command(stand_in)
    assert [(0, command.argv)] == [(one.rank, one.argv) for one in machine_commands(command)]


def test_vllm_names_its_parsers_and_takes_the_key_from_the_environment():
    """VLLM accepts wrong parser names silently, so the right ones are rendered."""
    plan = make_plan(checkpoint="deepseek-ai/DeepSeek-V4-Flash", hardware=detect_hardware("h200x8"), engine="vllm")
    command = build_command(plan)
    values = command.flags
    assert ("vllm", "serve", "deepseek-ai/DeepSeek-V4-Flash") == command.argv[:3]
    assert {"deepseek_v4"} == {
        values[f"--{name}"] for name in ("tokenizer-mode", "reasoning-parser", "tool-call-parser")
    }
    assert "VLLM_API_KEY" == command.key_env


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--max-model-len=1"], "no flag"),
        (["--cuda-graph-max-bs=1"], "no flag"),
        (["--tp=4"], "no flag"),
        (["--reasoning-parser=deepseek_v4"], "takes one of"),
        (["--enable-metrics=1"], "takes no value"),
        (["--trust-remote-code"], "refused"),
    ],
)
def test_the_snapshot_rejects_what_the_parser_rejects(words, what):
    """Unknown flags, prefixes, wrong choices and refused flags are each named."""
    assert what in rejected("sglang", Flags.from_words(words))[0]


def test_the_embedded_llamacpp_parses_its_command(stand_in):
    """The child's own parser takes every flag, and the total context is that of all slots."""
    from seatrial.xllamacpp_server import parser

    command = build_command(stand_in, model_path="/models/m.gguf")
    flags = [word.format(port=1234, key_file="/keys/k") for word in command.argv[3:]]
    options = parser().parse_args(flags)
    assert (8192, 4, "/models/m.gguf", "/keys/k") == (
        options.ctx_size,
        options.parallel,
        str(options.model),
        str(options.api_key_file),
    )
    assert {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "1000"} == command.env
    assert command.stand_in


def test_llamacpp_samples_v4_as_recommended():
    """Its own defaults are others (temperature 0.8, min_p 0.05), so the command sets them, and the child hands them on."""
    from seatrial.xllamacpp_server import parameters, parser

    plan = make_plan("flash", hardware=detect_hardware("cpu", host_memory_gib=192))
    flags = [word.format(port=1234, key_file="/dev/null") for word in build_command(plan).argv[3:]]
    sampling = parameters(parser().parse_args(flags)).sampling
    assert (1.0, 1.0, 0.0) == (sampling.temp, sampling.top_p, sampling.min_p)
    assert () == rejected("llamacpp", build_command(plan, runner="llama-server").flags)


def test_native_and_embedded_llamacpp_get_the_same_flags(stand_in):
    """The native parser wants values apart; otherwise the two agree, and the snapshot knows each flag."""
    embedded = build_command(stand_in, runner="xllamacpp").flags
    native = build_command(stand_in, runner="llama-server")
    assert not [word for word in native.argv if word.startswith("--") and "=" in word]
    assert native.flags.items() - {("--no-webui", None)} == embedded.items()
    assert () == rejected("llamacpp", native.flags)


def test_the_python_server_serialises_instead_of_aborting(stand_in):
    """llama-cpp-python would abort all but one stream; the flag that stops it is there, the key is not."""
    command = build_command(stand_in, runner="llama_cpp.server")
    assert "False" == command.flags["--interrupt_requests"]
    assert ("API_KEY", "/v1/models", None) == (command.key_env, command.health_path, command.metrics_path)
    assert () == rejected("llamacpp", command.flags)


def test_an_unknown_runner_names_the_known_ones(stand_in):
    """A runner that does not exist is a typed error."""
    with pytest.raises(UnknownNameError, match="runner"):
        build_command(stand_in, runner="ollama")


def test_the_simulator_parses_its_command():
    """The scripted server takes its flags and keeps the pace of the prediction."""
    from seatrial.simulator.__main__ import build_parser

    plan = make_plan("smollm2", hardware=detect_hardware("cpu"), engine="simulated")
    command = build_command(plan)
    options = build_parser().parse_args([word.format(port=0, key_file="/keys/k") for word in command.argv[3:]])
    assert options.tpot_s == pytest.approx(plan.prediction.tpot_s.expected, abs=1e-6)
    assert command.stand_in


def test_what_does_not_run_has_no_command():
    """The errors carry the plan's reason and its smallest change."""
    small = make_plan(checkpoint="deepseek-ai/DeepSeek-V4-Pro", hardware=detect_hardware("h200x4"), engine="sglang")
    with pytest.raises(DoesNotFitError, match="too little") as raised:
        build_command(small)
    assert small.smallest_change == raised.value.remedy
    refused = make_plan(
        checkpoint="nvidia/DeepSeek-V4-Flash-NVFP4", hardware=detect_hardware("m3-ultra-512gb"), engine="mlx"
    )
    with pytest.raises(RefusedError, match="mlx does not load"):
        build_command(refused)


def test_gpu_layers_and_experts_are_rendered():
    """What the plan splits off is what the command says."""
    plan = make_plan(hardware=detect_hardware("rtx4090x1", host_memory_gib=192))
    values = build_command(plan).flags
    assert str(plan.gpu_layers) == values["--gpu-layers"]
    assert str(plan.cpu_expert_layers) == values["--n-cpu-moe"]


def test_a_runner_without_host_experts_is_refused():
    """llama-cpp-python's server has no such setting, and would load everything onto the GPU."""
    plan = make_plan(hardware=detect_hardware("rtx4090x1", host_memory_gib=192))
    with pytest.raises(RefusedError, match="experts in host memory") as raised:
        build_command(plan, runner="llama_cpp.server")
    assert "llama-server" in raised.value.remedy


def test_no_command_holds_a_secret_or_another_host():
    """Whatever the engine: loopback, and keys only by file or variable."""
    for name in ENGINES:
        plan = make_plan("smollm2", hardware=detect_hardware("cpu"), engine="simulated")
        command = build_command(replace(plan, engine=name, gpu_memory_fraction=0.9))
        line = " ".join(command.argv)
        assert "127.0.0.1" in line
        assert "0.0.0.0" not in line  # noqa: S104 -- looked for, not bound
        assert "--api-key=" not in line


def test_versions_are_the_safe_ones():
    """The oldest safe versions and their holes stand in the data, each with a source."""
    versions = {name: engine_facts(name).versions for name in engine_ids()}
    assert set(ENGINES) == set(versions)
    assert ("0.5.23", "0.33.0", "b9840") == tuple(versions[name].safe for name in ("sglang", "vllm", "llamacpp"))
    assert all(row.source and row.checked for row in versions.values())
    assert is_older("0.5.9", "0.5.10")
    assert not is_older("b9840", "b8146")


def test_snapshots_name_version_and_source():
    """Each dump says which parser it was read from."""
    for name in ("sglang", "vllm", "llamacpp"):
        snapshot = read_snapshot(name)
        assert snapshot.version
        assert snapshot.source
        assert snapshot.checked
    folder = Path(read_snapshot.__wrapped__.__code__.co_filename).with_name("flags")
    assert all(json.loads(file.read_text())["source"] for file in folder.glob("*.json"))


def test_the_simulator_never_waits_for_hours():
    """A machine for which hours to the first token are predicted gets a simulator that can be seen to answer."""
    from seatrial.simulator.__main__ import build_parser

    plan = make_plan("flash", hardware=detect_hardware("cpu"), engine="simulated")
    hours = replace(plan.prediction, ttft_s=Interval(3000.0, 9000.0, 20_000.0), tpot_s=Interval(1.0, 4000.0, 9000.0))
    command = build_command(replace(plan, prediction=hours))
    options = build_parser().parse_args([word.format(port=0, key_file="/keys/k") for word in command.argv[3:]])
    assert (LONGEST_TTFT_S, LONGEST_TPOT_S) == (options.ttft_s, options.tpot_s)


def test_a_draft_inside_the_checkpoint_is_read_from_the_local_folder():
    """A recipe that names the checkpoint itself as its draft would otherwise download it a second time."""
    wishes = {"checkpoint": "deepseek-ai/DeepSeek-V4-Flash-0731", "engine": "vllm"}
    plan = make_plan(hardware=detect_hardware("rtxpro6000x2"), **wishes)
    hub, local = (build_command(plan, model_path=path).flags["--speculative-config"] for path in (None, "/models/m"))
    assert (plan.checkpoint, True) == (json.loads(hub)["model"], "revision" in json.loads(hub))
    assert ("/models/m", False) == (json.loads(local)["model"], "revision" in json.loads(local))
    assert json.loads(hub)["num_speculative_tokens"] == json.loads(local)["num_speculative_tokens"]
