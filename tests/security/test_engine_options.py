"""Engine options: what tunes is passed on as one word, everything else is refused with the reason."""

import re
from dataclasses import replace
from fnmatch import fnmatchcase

import pytest
from tests.security.conftest import leaky_command

from seatrial.cli.main import main
from seatrial.engines import ENGINES, build_command
from seatrial.engines.extra import OPTIONS, add_options, closed_variables, engine_options, rules, values_of
from seatrial.engines.snapshot import FLAGS, rejected
from seatrial.engines.types import Command
from seatrial.errors import RefusedError, UnknownNameError, UsageError
from seatrial.flags import Flags
from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan
from seatrial.plan.vendor.recipes import cells

ENGINE_NAMES = ("sglang", "vllm", "llamacpp", "mlx", "simulated")
ROWS = [(engine, option) for engine in ENGINE_NAMES for option in engine_options(engine).options]


def command(engine, program=""):
    """Return a command of that engine with nothing in it."""
    return Command(engine=engine, argv=("engine",), model="m", program=program)


def value_of(option, engine):
    """Return a value the option takes."""
    if option.takes == "switch":
        return ""
    if option.takes == "choice":
        return f"={values_of(engine, option)[0]}"
    return f"={option.least:g}"


@pytest.mark.parametrize(("engine", "option"), ROWS, ids=lambda part: getattr(part, "name", part))
def test_every_listed_option_is_one_the_engine_takes(engine, option):
    """The engine's own parser, as it was dumped, accepts the flag and a value of it, in one word."""
    word = f"{option.name}{value_of(option, engine)}"
    flag = f"--{word}"
    assert ("engine", flag) == add_options(command(engine), [word]).argv
    if (FLAGS / f"{engine}.json").is_file():
        assert () == rejected(engine, Flags.from_words([flag]))
    assert option.what


def test_every_engine_says_what_may_be_added():
    """An engine without a list of its own would take nothing and know no key."""
    assert sorted(ENGINES) == sorted(engine for engine in ENGINES if engine_options(engine) is not None)
    assert {"common.toml", "refused.toml"} < {path.name for path in OPTIONS.iterdir()}


REFUSED = [
    ("vllm", "trust-remote-code", "runs Python code"),
    ("sglang", "--trust-remote-code", "runs Python code"),
    ("sglang", "--TRUST_REMOTE_CODE=true", "runs Python code"),
    ("mlx", "trust_remote_code", "runs Python code"),
    ("sglang", "enable-custom-logit-processor", "CVE-2026-7304"),
    ("vllm", "logits-processors=evil.Module", "CVE-2026-7304"),
    ("vllm", "trust-request-chat-template", "whoever sends a request"),
    ("sglang", "host=0.0.0.0", "where a server listens"),
    ("vllm", "--host=::", "where a server listens"),
    ("llamacpp", "port=80", "where a server listens"),
    ("vllm", "uds=/tmp/x", "where a server listens"),
    ("vllm", "grpc", "where a server listens"),
    ("sglang", "nccl-port=1", "where a server listens"),
    ("sglang", "dist-init-addr=10.0.0.1:5000", "where a server listens|no authentication"),
    ("sglang", "api-key=sesame", "read by every user"),
    ("vllm", "--api-key=sesame", "read by every user"),
    ("llamacpp", "api-key-file=/etc/passwd", "read by every user"),
    ("sglang", "admin-api-key=sesame", "read by every user"),
    ("vllm", "hf-token=sesame", "read by every user"),
    ("sglang", "ssl-keyfile=/k", "who can reach"),
    ("vllm", "ssl-certfile=/c", "who can reach"),
    ("vllm", "allowed-origins=*", "who can reach"),
    ("vllm", "middleware=evil.Thing", "who can reach"),
    ("llamacpp", "rpc=10.0.0.1:50052", "no authentication"),
    ("vllm", "data-parallel-rpc-port=1", "no authentication|listens"),
    ("vllm", "kv-transfer-config={}", "no authentication"),
    ("sglang", "disaggregation-mode=prefill", "no authentication"),
    ("llamacpp", "model=/etc/passwd", "which weights"),
    ("sglang", "model-path=evil/model", "which weights"),
    ("vllm", "tokenizer=evil/model", "which weights"),
    ("llamacpp", "hf-repo=evil/model", "which weights"),
    ("llamacpp", "mmproj-url=http://x", "which weights"),
    ("vllm", "enable-lora", "which weights"),
    ("sglang", "lora-paths=/x", "which weights"),
    ("mlx", "adapter-path=/x", "which weights"),
    ("mlx", "draft-model=x", "which weights"),
    ("sglang", "load-format=pt", "pickles"),
    ("vllm", "worker-cls=evil.Worker", "pickles"),
    ("vllm", "tool-parser-plugin=/x.py", "pickles"),
    ("vllm", "hf-overrides={}", "which weights"),
    ("sglang", "json-model-override-args={}", "pickles"),
    ("llamacpp", "tools=all", "pickles"),
    ("vllm", "config=/x.yaml", "past this list"),
    ("sglang", "config=/x.yaml", "past this list"),
    ("llamacpp", "chat-template={{ x }}", "past this list"),
    ("vllm", "chat-template-content-format=x", "past this list"),
    ("llamacpp", "chat-template-file=/x", "past this list"),
    ("vllm", "download-dir=/etc", "files of its own"),
    ("llamacpp", "log-file=/etc/x", "files of its own"),
    ("llamacpp", "slot-save-path=/etc", "files of its own"),
    ("llamacpp", "path=/etc", "files of its own"),
    ("sglang", "crash-dump-folder=/x", "files of its own"),
    ("sglang", "hicache-storage-backend=file", "files of its own"),
    ("sglang", "log-requests", "files of its own"),
    ("vllm", "enable-log-requests", "files of its own"),
    ("vllm", "otlp-traces-endpoint=http://x", "files of its own|listens"),
    ("sglang", "context-length=1", "--context-tokens"),
    ("vllm", "max-model-len=1", "--context-tokens"),
    ("llamacpp", "ctx-size=1", "--context-tokens"),
    ("llamacpp", "parallel=64", "--concurrency"),
    ("sglang", "tp-size=8", "--tensor-parallel"),
    ("llamacpp", "n-cpu-moe=3", "--hardware"),
    ("sglang", "mem-fraction-static=0.99", "counted the bytes"),
    ("vllm", "gpu-memory-utilization=0.99", "counted the bytes"),
    ("vllm", "reasoning-parser=x", "as the model needs"),
]


@pytest.mark.parametrize(("engine", "text", "why"), REFUSED, ids=lambda part: str(part)[:40])
def test_what_opens_loads_reads_or_writes_is_refused_with_the_reason(engine, text, why):
    """A refused option says why and what to do instead, and its value is not repeated."""
    with pytest.raises(RefusedError, match=why) as caught:
        add_options(command(engine), [text])
    assert caught.value.remedy
    assert "sesame" not in str(caught.value)


UNKNOWN = [
    ("sglang", "no-such-option=1"),
    ("llamacpp", "chunked-prefill-size=1"),
    ("vllm", "threads=2"),
    ("simulated", "threads=2"),
    ("fake", "threads=2"),
    ("vllm", "compilation-config={}"),
    ("vllm", "compilation-config.level=3"),
    ("vllm", "additional-config={}"),
]


@pytest.mark.parametrize(("engine", "text"), UNKNOWN, ids=lambda part: part)
def test_what_stands_in_no_list_is_refused(engine, text):
    """A new version of an engine may give it any meaning."""
    with pytest.raises(UnknownNameError):
        add_options(command(engine), [text])


MALFORMED = [
    "",
    "=",
    "=1",
    "--",
    "---threads=2",
    " threads=2",
    "threads =2",
    "threads=2\n--host=0.0.0.0",
    "threads=2\x00",
    "threads\x1b[31m=2",
    "threads;id=2",
    "$(id)=2",
    "`id`=2",
    "../threads=2",
    "threads=" + "9" * 300,
    "x" * 262_144,
    "thrеads=2",  # noqa: RUF001 -- a Cyrillic letter
    "threads=",
    "threads",
    "threads=two",
    "threads=-1",
    "threads=0",
    "threads=1e3",
    "threads=2 --host=0.0.0.0",
    "threads=2;id",
    "threads=$(id)",
    "threads=٣",
    "threads=1025",
    "cache-type-k=q8_0 --rpc=x",
    "cache-type-k=",
    "cache-type-k=../../x",
]


@pytest.mark.parametrize("text", MALFORMED, ids=lambda text: repr(text)[:30])
def test_malformed_options_are_bad_usage(text):
    """Neither a name nor a value can bring a second word, a command or a control character."""
    with pytest.raises(UsageError) as caught:
        add_options(command("llamacpp"), [text])
    assert all(line.isprintable() for line in str(caught.value).split("\n"))
    assert len(str(caught.value)) < 800
    assert "\x1b" not in str(caught.value)


def test_an_option_given_twice_is_an_error():
    """Which of the two was meant cannot be known."""
    with pytest.raises(UsageError, match="twice"):
        add_options(command("llamacpp"), ["threads=2", "--threads=3"])


def test_a_switch_takes_no_value():
    """A value for it would be read as the next word by some parsers."""
    with pytest.raises(UsageError, match="takes no value"):
        add_options(command("sglang"), ["disable-radix-cache=/x"])


def test_an_option_takes_the_place_of_the_plan_s_own():
    """No flag appears twice in a command."""
    plan = make_plan("smollm2", hardware=detect_hardware("cpu"))
    xllamacpp = add_options(build_command(plan, runner="xllamacpp"), ["ubatch-size=64", "cache-type-k=q8_0"])
    assert 1 == sum(word.startswith("--ubatch-size") for word in xllamacpp.argv)
    assert {"--ubatch-size=64", "--cache-type-k=q8_0"} <= set(xllamacpp.argv)
    native = add_options(build_command(plan, runner="llama-server"), ["ubatch-size=64", "cache-type-k=q8_0"])
    at = native.argv.index("--ubatch-size")
    assert "64" == native.argv[at + 1]
    assert ("--cache-type-k", "q8_0") == native.argv[-2:]
    assert len(build_command(plan, runner="llama-server").argv) + 2 == len(native.argv)
    python = add_options(build_command(plan, runner="llama_cpp.server"), ["batch-size=64"])
    assert "--n_batch=64" in python.argv
    with pytest.raises(RefusedError, match=r"llama_cpp\.server has no option"):
        add_options(build_command(plan, runner="llama_cpp.server"), ["cache-type-k=q8_0"])


def test_the_command_line_takes_and_refuses_them(refused, capsys):
    """Plan shows the command with the option; serve and plan refuse the same ones."""
    words = ["plan", "--model=flash", "--hardware=h200x8", "--engine=sglang"]
    assert 0 == main([*words, "--engine-option=chunked-prefill-size=4096"])
    assert "--chunked-prefill-size=4096" in capsys.readouterr().out
    refused(*words, "--engine-option=trust-remote-code", says="runs Python code")
    refused("serve", "--engine=simulated", "--engine-option=host=0.0.0.0", says="--expose")


@pytest.mark.parametrize(
    "flag", ["--trust-remote-code", "--trust_remote_code", "--enable-custom-logit-processor", "--api-key=sesame-sesame"]
)
def test_a_command_of_somebody_s_own_does_not_get_them_either(not_launched, flag):
    """Whoever wrote the command: these flags are never started."""
    not_launched(leaky_command(flag), says="is refused", never=["sesame"])


def test_recipes_set_no_variable_an_engine_is_not_given():
    """What is kept from the environment does not come back through a recipe."""
    for cell in cells():
        for name in cell.env:
            assert not any(fnmatchcase(name, pattern) for pattern in closed_variables(cell.engine)), cell.name


def test_rules_say_why_and_what_instead():
    """Each refusal is a clause of a sentence and a remedy."""
    for rule in rules():
        assert rule.why
        assert rule.remedy.endswith(".")


def test_no_listed_option_is_refused_by_a_rule():
    """The two lists agree: what may be added is not caught by name."""
    for engine, option in ROWS:
        caught = [rule.pattern for rule in rules() if re.fullmatch(rule.pattern, option.name)]
        assert [] == caught, (engine, option.name)


def test_nothing_is_added_where_nothing_is_asked():
    """A command without options stays as it is."""
    assert command("vllm") == add_options(command("vllm"), [])
    assert replace(command("vllm"), argv=("engine", "--seed=3")) == add_options(command("vllm"), ["seed=3"])
