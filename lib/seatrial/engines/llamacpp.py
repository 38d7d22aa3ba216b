"""llama.cpp by one of three programs: the embedded server, a native ``llama-server``, llama-cpp-python's."""

from __future__ import annotations

import sys

from seatrial.catalog.engine_facts import engine_facts
from seatrial.engines.served import is_stand_in, served_name
from seatrial.engines.types import Command
from seatrial.errors import RefusedError, UnknownNameError
from seatrial.flags import Flags
from seatrial.plan.llamacpp.tensor_split import with_output
from seatrial.plan.types import Plan

RUNNERS = ("xllamacpp", "llama-server", "llama_cpp.server")
"""Ways to run llama.cpp, the embedded one first."""
_UBATCH_TOKENS = 512
_ALL_LAYERS = 999
# Worker threads that wait for ever for one that the system took off its core starve it and each other: on two busy
# cores 199 tok/s fell to 3.8. Those that sleep at once lose a third on a quiet machine. So they look for some
# microseconds, then sleep (docs/tuning.md); the policy is for OpenMP runtimes that do not know the other variable.
_ENV = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "1000"}


def build(plan: Plan, *, model_path: str | None = None, runner: str | None = None, host: str = "127.0.0.1") -> Command:
    """Return the command of the server.

    Args:
        plan: A plan for llama.cpp.
        model_path: The ``.gguf`` file; the checkpoint id stands in its place by default.
        runner: ``xllamacpp`` (default), ``llama-server`` or ``llama_cpp.server``.
        host: Address to listen on.

    Raises:
        UnknownNameError: If there is no such runner.
        RefusedError: If the plan leaves experts in host memory, drafts or splits tensors, and the runner cannot.

    """
    chosen = runner or RUNNERS[0]
    if chosen not in RUNNERS:
        raise UnknownNameError("llama.cpp runner", chosen, RUNNERS)
    model = model_path or plan.checkpoint
    if chosen == "llama_cpp.server":
        return _python_server(plan, model, host)
    flags = _native_flags(plan, model, host)
    if chosen == "xllamacpp":
        argv = (sys.executable, "-m", "seatrial.xllamacpp_server", *flags.to_argv())
    else:
        flags += Flags.of({"--no-webui": None})
        # The native parser takes values apart only: --flag=value is an unknown argument to it.
        argv = ("llama-server", *Flags(flags.pairs, frozenset(flags)).to_argv())
    return Command(
        engine="llamacpp",
        argv=argv,
        model=served_name(plan.checkpoint),
        env=dict(_ENV),
        health_path="/health",
        tokenize_path="/tokenize",
        metrics_path="/metrics",
        program=chosen,
        stand_in=is_stand_in(plan.model),
    )


def _threads(plan: Plan) -> dict[str, int]:
    """Return the number of threads, empty if the number of cores is unknown."""
    threads = plan.hardware.host.llamacpp_threads
    return {"--threads": threads} if threads else {}


def _tensor_split(plan: Plan) -> str:
    """Return the layers of each GPU for ``--tensor-split``, empty if one GPU takes all.

    The output counts as one more layer, after the last. llama.cpp counts every GPU it sees, so a GPU whose memory is
    not known, and which the plan leaves out, gets 0.
    """
    known = [bool(gpu.memory_bytes) for gpu in plan.hardware.gpus]
    layers = plan.gpu_shares or ((plan.gpu_layers or 0,) if known.count(True) == 1 < len(known) else ())
    if not any(layers):
        return ""
    left = iter(layers)
    shares = [next(left) if counts else 0 for counts in known]
    if plan.gpu_shares and plan.gpu_layers and plan.gpu_layers > sum(shares):
        shares = with_output(shares)
    return ",".join(map(str, shares))


def _ubatch_tokens(plan: Plan) -> int:
    facts = engine_facts("llamacpp").tensor_split
    return facts.ubatch_tokens if facts and plan.parallelism.tensor > 1 else _UBATCH_TOKENS


def _native_flags(plan: Plan, model: str, host: str) -> Flags:
    flags: dict[str, object] = {
        "--model": model,
        "--alias": served_name(plan.checkpoint),
        "--host": host,
        "--port": "{port}",
        "--api-key-file": "{key_file}",
        # One slot holds the whole context of a request, so the total is a multiple.
        "--ctx-size": plan.context_tokens * plan.concurrency,
        "--parallel": plan.concurrency,
        "--gpu-layers": plan.gpu_layers or 0,
        **_threads(plan),
    }
    if plan.cpu_expert_layers:
        flags["--n-cpu-moe"] = plan.cpu_expert_layers
    if plan.parallelism.tensor > 1:
        # The tensor split needs flash attention and knows no --fit.
        flags |= {"--split-mode": "tensor", "--flash-attn": "on"}
    elif split := _tensor_split(plan):
        flags["--tensor-split"] = split
    if plan.drafter:
        flags |= {
            "--spec-draft-model": plan.drafter,
            "--spec-type": "draft-dspark",
            "--spec-draft-n-max": plan.draft_tokens,
            "--spec-draft-ngl": _ALL_LAYERS if plan.gpu_layers else 0,
        }
    if plan.drafter or plan.parallelism.tensor > 1:
        flags["--fit"] = "off"
    sampling = Flags.from_words(plan.chat.flags) if plan.chat else Flags()
    flags |= {
        "--batch-size": 2048,
        "--ubatch-size": _ubatch_tokens(plan),
        # llama.cpp would hold up to 8 GiB of earlier prompts in host memory, which no plan counts.
        "--cache-ram": 0,
        **{name: value for name, value in sampling.items() if value},
        "--jinja": None,
        "--metrics": None,
    }
    return Flags.of(flags)


def _python_server(plan: Plan, model: str, host: str) -> Command:
    if plan.cpu_expert_layers:
        raise _not_in_python(
            f"keep experts in host memory, as this plan does for {plan.cpu_expert_layers} layers: all of them would go "
            "to the GPU"
        )
    if plan.drafter:
        raise _not_in_python("draft with a file: its only drafts are n-grams of the prompt")
    if plan.parallelism.tensor > 1:
        raise _not_in_python("split tensors over GPUs in a way that was tried")
    threads = _threads(plan)
    flags = {
        "--model": model,
        "--model_alias": served_name(plan.checkpoint),
        "--host": host,
        "--port": "{port}",
        "--n_ctx": plan.context_tokens,
        **({"--n_threads": threads["--threads"]} if threads else {}),
        "--n_gpu_layers": plan.gpu_layers or 0,
        "--n_batch": _UBATCH_TOKENS,
        # The server answers one stream at a time; with interrupt_requests on it would silently abort the others.
        "--interrupt_requests": False,
    }
    return Command(
        engine="llamacpp",
        argv=("python", "-m", "llama_cpp.server", *Flags.of(flags).to_argv()),
        model=served_name(plan.checkpoint),
        env=dict(_ENV),
        key_env="API_KEY",
        health_path="/v1/models",
        program="llama-cpp-python",
        stand_in=is_stand_in(plan.model),
    )


def _not_in_python(what: str) -> RefusedError:
    return RefusedError(f"llama_cpp.server cannot {what}.", remedy="Launch with xllamacpp or llama-server.")
