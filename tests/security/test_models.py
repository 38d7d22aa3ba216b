"""Models: names that are commands, files that run code, false headers, templates that inject."""

import json
import struct
import sys
from dataclasses import replace

import pytest
from tests.catalog.test_gguf import WRONG as WRONG_GGUF
from tests.catalog.test_safetensors import WRONG as WRONG_SAFETENSORS
from tests.gguf_bytes import STRING, UINT32, gguf, pair, tensor
from tests.safetensors_bytes import content, entry
from tests.security.conftest import is_one_clear_error, tree

from seatrial.catalog import find_checkpoint, find_model
from seatrial.catalog.gguf import read_header
from seatrial.cli.main import main
from seatrial.engines import build_command
from seatrial.errors import ModelFileError, RefusedError, UsageError
from seatrial.fetch.cache import folder_of
from seatrial.fetch.checkpoint import fetch_checkpoint
from seatrial.hardware import detect_hardware
from seatrial.launching import launch
from seatrial.paths import models_dir
from seatrial.plan import make_plan
from seatrial.server.folder import folder_of as folder_of_server

NAMES = {
    "a second command": "deepseek-ai/x; touch pwned",
    "and": "deepseek-ai/x && touch pwned",
    "a pipe": "deepseek-ai/x | sh",
    "a substitution": "$(touch pwned)",
    "a variable": "${HOME}/model",
    "backticks": "`touch pwned`",
    "an option": "--trust-remote-code",
    "a short option": "-rf",
    "a null": "deepseek-ai/x\x00",
    "a newline": "deepseek-ai/x\n--trust-remote-code",
    "a carriage return": "deepseek-ai/x\r",
    "an escape code": "deepseek-ai/\x1b[2Jx",
    "a direction mark": "deepseek-ai/\u202egguf.exe",
    "a zero-width character": "deepseek-ai/DeepSeek\u200b-V4-Flash",
    "a letter that looks the same": "deepseek-аi/DeepSeek-V4-Flash",  # noqa: RUF001 -- Cyrillic
    "256 kB": "a" * 262_144,
    "256 kB of dots": "../" * 87_381,
    "nothing": "",
    "a blank": "   ",
    "a file URL": "file:///etc/passwd",
    "a web address": "https://evil.example/model.gguf",
    "a bucket": "s3://evil/model",
    "a redirect": "deepseek-ai/x > pwned",
    "a parent folder": "../../../../etc/passwd",
    "a parent folder in a hub id": "deepseek-ai/../../etc",
    "a parent folder as a part": "..",
    "three parts": "a/b/c",
    "a device": "/dev/zero",
    "a process": "/proc/self/environ",
    "a password file": "/etc/passwd",
    "a home": "~no-such-user/model.gguf",
    "a template": "{param}/model.gguf",
    "a glob": "*.gguf",
    "quotes": "\"'x'\"",
    "a YAML tag": "!!python/object/apply:os.system [id]",
    "a Python format": "%(x)s/{0.__class__}.gguf",
    "markup": "<img src=x onerror=alert(1)>",
    "a later model": "deepseek-ai/DeepSeek-V5-Flash",
}


COMMANDS = ("fetch", "serve", "plan", "footprint")


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_name_that_is_no_model_is_one_clear_error(refused, monkeypatch, command, kind):
    """Nothing is run, fetched or written, whichever command meets it."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    words = {
        "fetch": ["fetch", "--", NAMES[kind]],
        "footprint": ["footprint", "--", NAMES[kind]],
        "serve": ["serve", f"--checkpoint={NAMES[kind]}", "--engine=simulated"],
        "plan": ["plan", f"--checkpoint={NAMES[kind]}", "--hardware=h200x8", "--json"],
    }[command]
    # What a hub id in no catalog is, only the hub knows: here nothing listens, which is exit code 1.
    refused(*words, codes=(1,) if (command, kind) == ("fetch", "a later model") else (2, 3))


@pytest.mark.parametrize("name", ["model.bin", "model.pt", "model.pth", "model.pkl", "model.ckpt", "MODEL.BIN", "m.PT"])
@pytest.mark.parametrize("command", ["fetch", "footprint", "serve"])
def test_pickled_weights_are_refused_unread(refused, places, name, command):
    """Loading one runs code from the file; ours would write a mark."""
    path = places[0] / "here" / name
    path.write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    words = ["serve", f"--checkpoint=./{name}", "--engine=sglang"] if command == "serve" else [command, f"./{name}"]
    refused(*words, says="runs code", codes=(3,))
    assert not (places[0] / "here" / "pwned").exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "consolidated.00.pth", "model.pt", "weights.pkl"])
def test_a_folder_of_pickled_weights_is_refused(refused, places, name):
    """With V4's own config.json beside them too."""
    folder = places[0] / "here" / "model"
    folder.mkdir()
    (folder / name).write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    refused("footprint", "./model", says="runs code", codes=(3,))
    (folder / "config.json").write_text(json.dumps(find_model("flash").config))
    refused("footprint", "./model", says="runs code", codes=(3,))


@pytest.mark.parametrize("kind", WRONG_GGUF)
def test_a_malformed_gguf_reaches_no_engine(refused, places, kind):
    """Each is refused by its header, before anything is planned or started."""
    (places[0] / "here" / "m.gguf").write_bytes(WRONG_GGUF[kind])
    refused("serve", "--checkpoint=./m.gguf", codes=(2,))


@pytest.mark.parametrize("kind", WRONG_SAFETENSORS)
def test_malformed_safetensors_reach_no_engine(refused, places, kind):
    """Beside V4's own config.json; the header is compared with the file."""
    folder = places[0] / "here" / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(find_model("flash").config))
    (folder / "model.safetensors").write_bytes(WRONG_SAFETENSORS[kind])
    refused("serve", "--checkpoint=./model", "--engine=sglang", codes=(2,))


def test_a_header_of_100_mb_is_not_read(refused, places):
    """Only its length is read; the file is sparse."""
    folder = places[0] / "here" / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(find_model("flash").config))
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", 100_000_000))
        file.truncate(100_000_100)
    refused("footprint", "./model", says="100,000,000", codes=(2,))


TEMPLATES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
    "{{ cycler.__init__.__globals__.os.popen('touch pwned').read() }}",
    "{{ lipsum.__globals__['os'].system('touch pwned') }}",
    "{% set x = range(10**9) %}{{ x|join }}",
]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda text: text[:24])
def test_a_chat_template_is_never_rendered_here(places, template):
    """It is text of the file, kept as it is: no template language is even loaded."""
    path = places[0] / "here" / "m.gguf"
    pairs = [pair("general.architecture", STRING, "deepseek4"), pair("tokenizer.chat_template", STRING, template)]
    path.write_bytes(gguf(pairs, [tensor("w", (4,), 0, 0)], b"\0" * 32))
    before, loaded = tree(*places), "jinja2" in sys.modules
    assert template == read_header(path).metadata["tokenizer.chat_template"]
    with pytest.raises(ModelFileError) as caught:  # the file says nothing of the sizes
        find_checkpoint(str(path))
    is_one_clear_error(str(caught.value), never=[template])
    assert (before, loaded) == (tree(*places), "jinja2" in sys.modules)


@pytest.fixture
def v4_folder(places):
    """Make a folder with V4's config and one small tensor."""
    folder = places[0] / "here" / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(find_model("flash").config))
    (folder / "model.safetensors").write_bytes(content({"layers.0.attn.wq_a.weight": entry("BF16", [8], 0, 16)}, 16))
    return folder


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer_config.json", "generation_config.json", "processor_config.json"]
)
def test_a_configuration_that_names_code_is_not_launched(v4_folder, name):
    """auto_map makes transformers look for a Python file in the model's folder."""
    marks = {"auto_map": {"AutoModelForCausalLM": "modeling_evil.Evil"}}
    config = json.loads((v4_folder / name).read_text()) if (v4_folder / name).exists() else {}
    (v4_folder / name).write_text(json.dumps(config | marks))
    (v4_folder / "modeling_evil.py").write_text("open('pwned', 'w')")
    plan = replace(make_plan("smollm2", hardware=detect_hardware("cpu")), hardware=detect_hardware())
    with pytest.raises(RefusedError, match="auto_map") as caught:
        launch(plan, model_path=v4_folder)
    is_one_clear_error(str(caught.value))
    assert not (v4_folder.parent / "pwned").exists()


def test_a_local_model_that_names_code_is_sized_and_says_so(v4_folder):
    """Its bytes come from headers, and the note says that it is not launched."""
    assert not find_checkpoint(str(v4_folder)).note
    (v4_folder / "config.json").write_text(json.dumps({**find_model("flash").config, "auto_map": {"A": "evil.py"}}))
    assert "auto_map" in find_checkpoint(str(v4_folder)).note


@pytest.mark.parametrize(
    "name", ["../m.safetensors", "/etc/passwd", "a/../../m.safetensors", "pytorch_model.bin", ".."]
)
def test_an_index_cannot_lead_outside_its_folder(refused, v4_folder, name):
    """Neither another folder's file nor another kind of file is opened."""
    document = {"metadata": {"total_size": 16}, "weight_map": {"layers.0.attn.wq_a.weight": name}}
    (v4_folder / "model.safetensors.index.json").write_text(json.dumps(document))
    refused("footprint", "./model", codes=(2,))


def test_files_of_a_checkpoint_stay_in_its_folder():
    """Under any name of a checkpoint its folder is in the cache, without a parent or a hidden name."""
    row = find_checkpoint("smollm2")
    for name in ("../../etc", "a/../../b", "..", ".hidden", "a\\b", "a;b", "a b", "-rf"):
        folder = folder_of(replace(row, id=name))
        assert models_dir() == folder.parent
        assert not folder.name.startswith((".", "-"))


def test_a_path_with_spaces_and_braces_stays_one_word():
    """What a folder is called adds no word to a command and fills no placeholder."""
    plan = make_plan("smollm2", hardware=detect_hardware("cpu"))
    odd = "/models/a b; id $(id)/{key_file} --host=0.0.0.0.gguf"
    for runner in ("xllamacpp", "llama-server", "llama_cpp.server"):
        plain = build_command(plan, model_path="/m.gguf", runner=runner)
        command = build_command(plan, model_path=odd, runner=runner)
        assert len(plain.argv) == len(command.argv)
        assert 1 == sum(odd in word for word in command.argv)


@pytest.mark.parametrize("source", ["/nowhere", "file:///etc", "http://evil.example", "../..", "-", "\x00"])
def test_a_source_that_is_none_is_bad_usage(refused, source):
    """Files come from a folder, a mirror set in the environment, or the hub."""
    refused("fetch", "unsloth/DeepSeek-V4-Flash-GGUF:UD-IQ1_M", f"--source={source}", codes=(2, 3))


def test_a_given_gguf_is_looked_at_when_it_is_fetched(places):
    """A local file that is none is refused though nothing would be downloaded."""
    path = places[0] / "here" / "m.gguf"
    path.write_bytes(gguf([pair("general.alignment", UINT32, 3)]))
    row = replace(find_checkpoint("smollm2"), id=str(path))
    with pytest.raises((ModelFileError, UsageError)):
        fetch_checkpoint(row)


PLAN = {"model": "flash", "checkpoint": "smollm2", "engine": "simulated", "context_tokens": 2048, "concurrency": 1}
PLAN_FILES = {
    "nothing": "",
    "no JSON": "{",
    "a list": "[]",
    "null": "null",
    "nested without end": "[" * 100_000,
    "a number of 5000 digits": json.dumps(PLAN)[:-1] + ', "nodes": ' + "9" * 5000 + "}",
    "a pickle": "cos\nsystem\n(S'touch pwned'\ntR.",
    "a YAML tag": "!!python/object/apply:os.system ['touch pwned']",
    "no model": json.dumps({key: value for key, value in PLAN.items() if key != "model"}),
    "a command as checkpoint": json.dumps(PLAN | {"checkpoint": "$(touch pwned)"}),
    "an option as checkpoint": json.dumps(PLAN | {"checkpoint": "--trust-remote-code"}),
    "a file as checkpoint": json.dumps(PLAN | {"checkpoint": "file:///etc/passwd"}),
    "another engine": json.dumps(PLAN | {"engine": "../../evil"}),
    "a list as engine": json.dumps(PLAN | {"engine": ["sh", "-c", "touch pwned"]}),
    "text as context": json.dumps(PLAN | {"context_tokens": "2048; touch pwned"}),
    "a negative context": json.dumps(PLAN | {"context_tokens": -1}),
    "no requests": json.dumps(PLAN | {"concurrency": 0}),
    "a wish nobody has": json.dumps(PLAN | {"objective": "__class__"}),
}


@pytest.mark.parametrize("kind", PLAN_FILES)
def test_a_plan_file_that_is_none_starts_nothing(refused, places, kind):
    """Its choices are read as data, each in its type."""
    (places[0] / "here" / "plan.json").write_text(PLAN_FILES[kind])
    refused("serve", "--plan=plan.json", codes=(2, 3))
    assert not (places[0] / "here" / "pwned").exists()


def test_the_command_in_a_plan_file_is_never_run(places, capsys):
    """Words and variables of the document are ignored: the command is made anew."""
    document = PLAN | {
        "checkpoint": "no-such-model",
        "argv": ["/bin/touch", "pwned"],
        "env": {"LD_PRELOAD": "/evil.so"},
    }
    (places[0] / "here" / "plan.json").write_text(json.dumps(document))
    assert 2 == main(["serve", "--plan=plan.json"])
    (places[0] / "here" / "plan.json").write_text(json.dumps(document | {"model": "smollm2", "checkpoint": "smollm2"}))
    before = tree(places[0] / "here")
    assert 0 == main(["serve", "--plan=plan.json", "--keep-running", "--name=planned"])
    assert "touch" not in "".join(capsys.readouterr())
    assert before == tree(places[0] / "here")
    record = folder_of_server("planned").record()
    assert set() == {"/bin/touch", "pwned", "/evil.so"} & {*record.argv, *record.env.values()}
