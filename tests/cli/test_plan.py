"""``seatrial plan``: the document programs read, the text people read, the exit codes."""

import contextlib
import json
import math
import re

import pytest

from seatrial.cli.main import main
from seatrial.plan import Plan
from seatrial.records import from_dict
from seatrial.units import format_gib

KEYS = {
    "verdict", "model", "checkpoint", "engine", "engine_version_min", "hardware", "nodes", "gpus_per_node",
    "parallelism", "context_tokens", "concurrency", "argv", "env", "commands", "footprint", "capacity_bytes", "shortfall_bytes",
    "prediction", "recipe", "smallest_change", "reasons", "alternatives", "chat",
}  # fmt: skip
FOOTPRINT = {
    "weights_bytes", "kv_bytes", "state_bytes", "reserve_bytes", "total_bytes", "per_gpu_bytes", "host_bytes",
}  # fmt: skip


def answer(capsys, *words):
    """Return exit code and document of one command."""
    code = main(["plan", "--json", *words])
    return code, json.loads(capsys.readouterr().out)


def test_the_document_has_the_keys_of_the_contract(capsys):
    """Every promised key, with the command of one rank."""
    code, document = answer(capsys, "--hardware", "h200x4")
    assert 0 == code
    assert set(document) >= KEYS
    assert set(document["footprint"]) >= FOOTPRINT
    assert {"tensor", "data", "expert", "pipeline"} == set(document["parallelism"])
    assert {"source", "cell", "status", "differences"} == set(document["recipe"])
    assert {"low", "expected", "high"} == set(document["prediction"]["tpot_s"])
    assert {"text", "origin", "source"} == set(document["reasons"][0])
    assert ["python", "-m", "sglang.launch_server"] == document["argv"][:3]


@pytest.mark.parametrize(("engine", "worker"), [("sglang", []), ("vllm", ["--headless"])])
def test_each_machine_has_its_command(engine, worker, capsys):
    """Data and text give each machine's own command, whole; a single machine has one."""
    words = ("--model", "pro", "--hardware", "gb200x4", "--nodes", "2", "--engine", engine)
    first, second = answer(capsys, *words)[1]["commands"]
    assert [0, 1] == [first["rank"], second["rank"]]
    other = ["--node-rank=1" if word == "--node-rank=0" else word for word in first["argv"]]
    assert [*other, *worker] == second["argv"]
    main(["plan", "--why", *words])
    said = capsys.readouterr().out
    assert said.index("# Machine 1 of 2: takes the requests") < said.index("# Machine 2 of 2.")
    assert all(f"--node-rank={rank} " in said for rank in (0, 1))
    assert ("--headless\n" in said) == bool(worker)
    _, single = answer(capsys, "--hardware", "h200x4")
    assert [{"rank": 0, "argv": single["argv"], "env": single["env"]}] == single["commands"]


def test_the_document_reads_back_as_a_plan(capsys):
    """What was printed can be handed to whoever takes a plan."""
    _, document = answer(capsys, "--hardware", "rtx4090x1", "--host-memory-gib", "192")
    assert "llamacpp" == from_dict(Plan, document).engine


def test_native_flash_weighs_what_it_weighs(capsys):
    """The exact bytes reach the document."""
    _, document = answer(capsys, "--checkpoint", "deepseek-ai/DeepSeek-V4-Flash", "--hardware", "h200x4")
    assert 159_609_485_896 == document["footprint"]["weights_bytes"]


@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        (("--checkpoint", "deepseek-ai/DeepSeek-V4-Pro", "--hardware", "h200x4", "--engine", "sglang"), "does_not_fit"),
        (("--hardware", "a100-80gbx8", "--engine", "vllm"), "refused"),
    ],
)
def test_what_does_not_run_exits_with_three_and_still_prints(words, verdict, capsys):
    """Verdict, reasons and no command, under the same keys; exit code 3."""
    code, document = answer(capsys, *words)
    assert 3 == code
    assert set(document) >= KEYS
    assert verdict == document["verdict"]
    assert [] == document["argv"] == document["commands"]
    assert document["reasons"][0]["text"]
    assert document["smallest_change"]


@pytest.mark.parametrize("kind", ["deepseek_v5", "deepseek_v3", "deepseek_v32", "llama4"])
def test_a_folder_of_another_architecture_is_refused_with_its_type(kind, tmp_path, capsys):
    """The verdict names the model_type its config.json states, and gives no figures."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, "num_hidden_layers": 61}))
    code, document = answer(capsys, "--checkpoint", str(tmp_path), "--hardware", "h200x8")
    assert (3, "refused", None) == (code, document["verdict"], document["footprint"])
    assert kind in document["reasons"][0]["text"]
    assert "config.json" in document["reasons"][0]["source"]


def test_chat_facts_are_data(capsys):
    """Programs read parsers, modes and sampling instead of sentences; what has no chat has null."""
    _, document = answer(capsys, "--hardware", "h200x4")
    chat = document["chat"]
    assert ("deepseek-v4", "deepseekv4") == (chat["reasoning_parser"], chat["tool_call_parser"])
    assert set(chat["flags"]) <= set(document["argv"])
    assert ["Non-think", "Think Low", "Think High", "Think Max"] == [mode["name"] for mode in chat["thinking_modes"]]
    assert {"temperature": 1.0, "top_p": 1.0}.items() <= chat["sampling"][0].items()
    assert answer(capsys, "--model", "smollm2", "--hardware", "cpu")[1]["chat"] is None


def test_all_ranks_alternatives(capsys):
    """``--all`` fills the list, and only then."""
    assert [] == answer(capsys, "--hardware", "h200x4")[1]["alternatives"]
    assert 10 < len(answer(capsys, "--hardware", "h200x4", "--all")[1]["alternatives"])


@pytest.mark.parametrize(
    "words",
    [
        ("--model", "smollm2", "--hardware", "cpu"),
        ("--hardware", "h200x8", "--all"),
        ("--hardware", "h100x8", "--nodes", "2", "--model", "pro"),
        ("--hardware", "rtx4090x2", "--host-memory-gib", "64", "--model", "pro"),
        ("--checkpoint", "deepseek-ai/DeepSeek-V4.1-Flash"),
        ("--model", "smollm2", "--engine", "simulated"),
    ],
)
def test_people_get_the_verdict_first(words, capsys):
    """The first line names checkpoint and verdict; the rest explains it."""
    code = main(["plan", *words])
    lines = capsys.readouterr().out.splitlines()
    assert code in {0, 3}
    assert any(word in lines[0] for word in ("runs", "fits", "does not fit", "refused"))
    assert len(lines) > 1


def shown(capsys, *words):
    """Return what people read."""
    main(["plan", *words])
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ("--hardware", "h200x4"),
        ("--hardware", "h100x8", "--nodes", "2", "--model", "pro"),
        ("--hardware", "rtx4090x1", "--host-memory-gib", "192"),
        ("--hardware", "cpu"),
        ("--hardware", "m3-ultra-512gb"),
        ("--hardware", "gb300x4"),
        ("--hardware", "mi300xx8"),
    ],
    ids=" ".join,
)
def test_the_answer_fits_one_screen(words, capsys):
    """At 80 columns a terminal of 40 lines shows all of it, and the prompt below."""
    lines = shown(capsys, *words).splitlines()
    assert 40 > sum(max(1, math.ceil(len(line.rstrip()) / 80)) for line in lines)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--hardware", "h200x4"), "DeepSeek-V4-Flash-0731 runs on h200x4 with SGLang: a vendor ran exactly this."),
        (("--hardware", "a100-80gbx8", "--engine", "vllm"), "is refused on a100-80gbx8 with vLLM."),
        (("--hardware", "m3-ultra-512gb"), "fits m3-ultra-512gb with llama.cpp, by arithmetic."),
        (("--hardware", "h200x4", "--model", "pro"), "of host memory are free (its host memory is not known)."),
    ],
)
def test_the_verdict_is_one_sentence(words, sentence, capsys):
    """What runs, where, with which engine, and on what that hangs."""
    assert shown(capsys, *words).splitlines()[0].endswith(sentence)


def test_what_does_not_fit_says_by_how_much_and_what_would_help(capsys):
    """The bytes that are missing, and the smallest change below."""
    words = ("--hardware", "rtx4090x1", "--host-memory-gib", "32")
    document = answer(capsys, *words)[1]
    first, second, *_ = shown(capsys, *words).splitlines()
    assert first.endswith(f": {format_gib(document['shortfall_bytes'])} too little.")
    assert document["smallest_change"] == second


def test_memory_and_speed_are_a_line_each(capsys):
    """Need, what is usable and what is spare, of GPUs and host; the predicted speed with its interval."""
    lines = shown(capsys, "--hardware", "h200x4").splitlines()
    assert "Memory: each of 4 GPUs must hold 48.2 of 123.6 GiB usable, 75.3 GiB to spare." == lines[1]
    assert lines[2].startswith("Predicted: 281 tok/s (178 to 445 tok/s), first token in 332 ms (")
    split = shown(capsys, "--hardware", "rtx4090x1", "--host-memory-gib", "192")
    assert re.search(r"\nMemory: the GPU must hold .* to spare; host memory must hold .* to spare\.\n", split)
    assert "Memory: " not in shown(capsys, "--hardware", "a100-80gbx8", "--engine", "vllm")


def test_four_reasons_are_shown_and_all_of_them_on_demand(capsys):
    """The first four, then how to see the others; --why has each with its source, the recipe and how to chat."""
    words = ("--hardware", "h100x4")
    document = answer(capsys, *words)[1]
    brief, full = shown(capsys, *words), shown(capsys, *words, "--why")
    reasons = brief.partition("Why (--why shows every reason with its source):\n")[2]
    assert 4 == reasons.count("\n- ") + 1
    assert all("".join(reason["text"].split()) in "".join(reasons.split()) for reason in document["reasons"][:4])
    unfolded = re.sub(r"(verified|derived|assumed|measured) *$", "", full, flags=re.MULTILINE)
    unfolded = "".join(unfolded.split())
    texts = [text for reason in document["reasons"] for text in (reason["text"], f"source: {reason['source']}")]
    for text in (*texts, *document["recipe"]["differences"]):
        assert "".join(text.split()) in unfolded
    assert "Chat:" in full
    assert "--why" not in full


def test_a_second_machine_differs_from_the_first_by_its_rank(capsys):
    """On one screen its command is the same with what differs; whole with --why."""
    words = ("--model", "pro", "--hardware", "gb200x4", "--nodes", "2", "--engine", "vllm")
    assert "# Machine 2 of 2: the same with --node-rank=1 --headless (--why shows it whole)." in shown(capsys, *words)


def test_the_best_alternatives_are_shown_and_all_of_them_on_demand(capsys):
    """The title counts them all; the table has the first eight, with --why every one."""
    words = ("--hardware", "h200x4", "--all")
    names = [row["checkpoint"] for row in answer(capsys, *words)[1]["alternatives"]]
    brief, full = shown(capsys, *words), shown(capsys, *words, "--why")
    assert f"{len(names)} alternatives on h200x4" in brief
    assert "; the first 8, --why shows all" in brief
    tables = [text.partition("alternatives on h200x4")[2] for text in (brief, full)]
    assert [8, len(names)] == [sum(map(table.count, {f"{name} " for name in names})) for table in tables]


@pytest.mark.parametrize(
    "words",
    [
        ("--hardware", "h100x0"),
        ("--hardware", "toaster"),
        ("--model", "gpt"),
        ("--engine", "tgi"),
        ("--nodes", "0"),
        ("--concurrency", "-1"),
        ("--context-tokens", "1048577", "--hardware", "h200x8"),
        ("--tensor-parallel", "16", "--hardware", "h100x8"),
        ("--host-memory-gib", "-5"),
        ("--objective", "cheap"),
        ("--checkpoint", "$(reboot)"),
        ("--prompt-tokens", "0"),
        ("--prompt-tokens", "-3"),
        ("--prompt-tokens", "many"),
        ("--prompt-tokens", "1e3"),
        ("--answer-tokens", "nan"),
        ("--answer-tokens", "99999999999"),
        ("--answer-tokens", "20000000", "--hardware", "h200x8"),
        ("--prompt-tokens", "4000", "--answer-tokens", "1000", "--context-tokens", "4096", "--hardware", "h200x8"),
    ],
)
def test_bad_input_exits_with_two(words, capsys):
    """One message on stderr with a remedy, nothing on stdout, no traceback."""
    assert 2 == main(["plan", "--json", *words])
    printed = capsys.readouterr()
    assert not printed.out
    assert "Traceback" not in printed.err
    assert printed.err


def test_the_prediction_is_for_the_lengths_asked_for(capsys):
    """Longer prompts cost time to the first token, and the basis names the lengths."""
    words = ("--hardware", "h200x4", "--engine", "sglang", "--answer-tokens", "200")
    short, long = (answer(capsys, *words, "--prompt-tokens", str(count))[1]["prediction"] for count in (500, 16_000))
    assert short["ttft_s"]["expected"] < long["ttft_s"]["expected"]
    assert "16,000 prompt and 200 answer tokens" in long["basis"]


FLASH = "unsloth/DeepSeek-V4-Flash-0731-GGUF:UD-Q2_K_XL"


def test_a_drafter_and_a_tensor_split_are_asked_for_by_options(capsys):
    """The document names what drafts, how much, and the ranks; it reads back as a plan."""
    code, drafted = answer(capsys, "--checkpoint", FLASH, "--hardware", "gb10x1", "--drafter", "auto")
    assert (0, FLASH.replace("UD-Q2_K_XL", "dspark-Q8_0"), 3) == (code, drafted["drafter"], drafted["draft_tokens"])
    assert f"--spec-draft-model={drafted['drafter']}" in drafted["argv"]
    words = ("--checkpoint", FLASH, "--hardware", "rtx4090x8", "--engine", "llamacpp", "--tensor-parallel", "8")
    code, split = answer(capsys, *words)
    assert (0, 8, True) == (code, split["parallelism"]["tensor"], "--split-mode=tensor" in split["argv"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--drafter", "/nowhere.gguf"), "There is no file or folder"),
        (("--drafter", FLASH), "is a model, not a drafter"),
        (("--draft-tokens", "3"), "no drafter is named"),
        (("--drafter", "auto", "--draft-tokens", "abc"), "not a whole number"),
        (("--drafter", "auto", "--draft-tokens", "0"), "not a whole number"),
        (("--drafter", "auto", "--draft-tokens", "-1"), "not a whole number"),
        (("--drafter", "auto", "--draft-tokens", "99999"), "more than the"),
        (("--engine-option", "split-mode=row"), "the plan decides how the model is spread"),
        (("--engine-option", "spec-draft-n-max=2"), "the plan has counted the bytes of what drafts"),
    ],
)
def test_bad_drafters_and_splits_get_one_message(words, message, capsys):
    """Exit code 2 for bad usage, 3 for what is refused; the options of the engine itself are the plan's decision."""
    with contextlib.suppress(SystemExit):
        code = main(["plan", "--checkpoint", FLASH, "--hardware", "gb10x1", *words])
        assert code == (3 if "--engine-option" in words else 2)
    assert message in " ".join(capsys.readouterr().err.split())
