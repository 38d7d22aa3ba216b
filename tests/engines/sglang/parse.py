"""Reports how SGLang's own argument parser reads a command line. Runs in SGLang's environment, without a GPU.

python parse.py           one question a line on stdin, one answer a line on stdout, in the same order, all JSON;
                          an empty line answers an empty line
python parse.py --flags   every flag the parser takes, as one JSON document

A question holds ``argv`` (what follows ``python -m sglang.launch_server``), ``env`` and ``gpu`` (its ``architecture``
and ``memory_bytes``). An answer holds ``error`` (None if SGLang would start), ``parsed`` (the value the parser read for
each flag of the command) and ``resolved`` (SGLang's settings with the model's config.json, on that GPU); both are
None if SGLang stopped before.
"""

import contextlib
import io
import json
import logging
import os
import sys
import traceback
from argparse import Action, ArgumentParser
from collections.abc import Iterator
from typing import Any, TextIO

# No compiler and no network: neither has a part in reading a command.
os.environ |= {"TORCHDYNAMO_DISABLE": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}

import stand_ins

stand_ins.install()

import sglang  # noqa: E402 -- after the stand-ins
from sglang.srt.arg_groups import memory_hook  # noqa: E402 -- after the stand-ins
from sglang.srt.runtime_context import override_platform  # noqa: E402 -- after the stand-ins
from sglang.srt.server_args import ServerArgs, prepare_server_args  # noqa: E402 -- after the stand-ins

FIELDS = (
    "api_key", "attention_backend", "attn_dp_size", "context_length", "ep_size", "host", "kv_cache_dtype",
    "max_running_requests", "mem_fraction_static", "moe_a2a_backend", "nnodes", "page_size", "port", "pp_size",
    "reasoning_parser", "served_model_name", "speculative_algorithm", "speculative_eagle_topk",
    "speculative_num_draft_tokens", "speculative_num_steps", "swa_full_tokens_ratio", "tool_call_parser", "tp_size",
    "trust_remote_code",
)  # fmt: skip
"""Fields of the resolved configuration in an answer, by SGLang's names."""


def actions() -> dict[str, Action]:
    """Return the action of SGLang's parser for each long flag."""
    parser = ArgumentParser(add_help=False)
    ServerArgs.add_cli_args(parser)
    return {name: action for action in parser._actions for name in action.option_strings if name.startswith("--")}


ACTIONS = actions()
FIELD_OF = {name: action.dest for name, action in ACTIONS.items()}


def platform_of(architecture: str) -> dict[str, Any]:
    """Return what SGLang would detect on a machine with GPUs of this architecture: ``9.0``, ``gfx950``."""
    if architecture.startswith("gfx"):
        return {"is_hip": True, "is_cuda": False}
    major, minor = map(int, architecture.split("."))
    return {
        "is_cuda": True,
        "is_sm90": major == 9,
        "is_hopper_with_cuda_12_3": major == 9,
        "is_sm100": major == 10,
        "is_sm100_or_sm110": major == 10,
        "is_sm120": major == 12,
        "is_blackwell": major in {10, 12},
        "device_sm": 10 * major + minor,
        "device_capability": (major, minor),
    }


@contextlib.contextmanager
def machine(env: dict[str, str], gpu: dict[str, Any]) -> Iterator[None]:
    """Make SGLang see a machine: its environment (which SGLang changes as it resolves) and its GPUs."""
    before = dict(os.environ)
    os.environ.update(env)
    memory_hook.get_device_memory_capacity = lambda _: gpu["memory_bytes"] / (1 << 20)
    try:
        with override_platform(**platform_of(gpu["architecture"])):
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def understood(question: dict[str, Any]) -> dict[str, Any]:
    """Answer one question."""
    answer: dict[str, Any] = {"error": None, "parsed": None, "resolved": None}
    said = io.StringIO()
    try:
        with machine(question["env"], question["gpu"]), contextlib.redirect_stderr(said):
            # SGLang names both NVIDIA's and AMD's GPUs cuda; it would find out by itself, were there one.
            args = prepare_server_args([*question["argv"], "--device=cuda"])
            answer["parsed"] = {name: getattr(args, FIELD_OF[name], None) for name in flags_in(question["argv"])}
            args.resolve_once()
            resolved = args.resolved_dict()
            answer["resolved"] = {name: resolved[name] for name in FIELDS}
    except SystemExit:
        # argparse prints the reason in the last line.
        answer["error"] = said.getvalue().strip().splitlines()[-1]
    except Exception as error:  # noqa: BLE001 -- whatever SGLang raises is its answer
        # Some of its checks give no reason but their own line.
        where = traceback.extract_tb(error.__traceback__)[-1]
        answer["error"] = f"{type(error).__name__}: {error} ({where.name}: {where.line})"
    return answer


def flags_in(argv: list[str]) -> list[str]:
    """Return the names of a command's flags except the key file's, which SGLang replaces by its content."""
    names = [word.partition("=")[0] for word in argv if word.startswith("--")]
    return [name for name in names if name != "--config"]


def flags() -> dict[str, Any]:
    """Return the version and every long flag: whether it takes a value, and the choices if it lists any."""
    rows = {
        name: {"switch": action.nargs == 0, "choices": sorted(map(str, action.choices)) if action.choices else None}
        for name, action in ACTIONS.items()
    }
    return {"version": sglang.__version__, "flags": rows}


def main(answers: TextIO) -> None:
    """Answer every question on stdin."""
    logging.disable(logging.WARNING)
    if sys.argv[1:] == ["--flags"]:
        answers.write(json.dumps(flags()))
        return
    for line in sys.stdin:
        answer = json.dumps(understood(json.loads(line)), default=str) if line.strip() else ""
        answers.write(f"{answer}\n")
        answers.flush()


if __name__ == "__main__":
    # Answers alone go to stdout; what SGLang prints goes to stderr.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as stdout:
        os.dup2(2, 1)
        main(stdout)
