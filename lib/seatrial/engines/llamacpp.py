"""llama.cpp by one of three programs: the embedded server, a native ``llama-server``, llama-cpp-python's."""

from __future__ import annotations

import sys

from seatrial.engines.served import is_stand_in, served_name
from seatrial.engines.types import Command
from seatrial.errors import RefusedError, UnknownNameError
from seatrial.plan.types import Plan
from seatrial.plan.vendor.spellings import flag_values

RUNNERS = ("xllamacpp", "llama-server", "llama_cpp.server")
"""Ways to run llama.cpp, the embedded one first."""
_BATCH_TOKENS = 2048
_UBATCH_TOKENS = 512
# Worker threads that wait for ever for one that the system took off its core starve it and each other: on two busy
# cores 199 tok/s fell to 3.8. Those that sleep at once lose a third on a quiet machine. So they look for some
# microseconds, then sleep (docs/tuning.md); the policy is for OpenMP runtimes that do not know the other variable.
_ENV = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "1000"}


def build(plan: Plan, *, model_path: str | None = None, runner: str | None = None, host: str = "127.0.0.1") -> Command:
    """The command of the server.

    Args:
        plan: A plan for llama.cpp.
        model_path: The ``.gguf`` file; the checkpoint id stands in its place by default.
        runner: ``xllamacpp`` (default), ``llama-server`` or ``llama_cpp.server``.
        host: Address to listen on.

    Raises:
        UnknownNameError: There is no such runner.
        RefusedError: The runner cannot leave experts in host memory, and the plan needs that.

    """
    chosen = runner or RUNNERS[0]
    if chosen not in RUNNERS:
        raise UnknownNameError("llama.cpp runner", chosen, RUNNERS)
    name = served_name(plan.checkpoint)
    model = model_path or plan.checkpoint
    if chosen == "llama_cpp.server":
        return _python_server(plan, model, name, host)
    flags = _native_flags(plan, model, name, host)
    if chosen == "xllamacpp":
        argv = [sys.executable, "-m", "seatrial.xllamacpp_server"]
        argv += [flag if value is None else f"{flag}={value}" for flag, value in flags]
    else:
        # The native parser takes values apart only: --flag=value is an unknown argument to it.
        argv = ["llama-server"]
        argv += [word for flag, value in flags for word in ((flag,) if value is None else (flag, value))]
        argv.append("--no-webui")
    return Command(
        engine="llamacpp",
        argv=tuple(argv),
        model=name,
        env=dict(_ENV),
        health_path="/health",
        tokenize_path="/tokenize",
        metrics_path="/metrics",
        program=chosen,
        stand_in=is_stand_in(plan.model),
    )


def threads(plan: Plan) -> int | None:
    """Physical cores less one, at least one: the last core belongs to everything else. None where not known."""
    cores = plan.hardware.host.cores
    return max(1, cores - 1) if cores else None


def _tensor_split(plan: Plan) -> str:
    """Layers of each GPU as ``--tensor-split`` wants them: the output counts as one more, after the last layer.

    llama.cpp goes by place over all GPUs it sees, so one whose memory is not known, and not planned with, gets none.
    Empty where one GPU takes all there is.
    """
    known = [bool(gpu.memory_bytes) for gpu in plan.hardware.gpus]
    dealt = plan.gpu_shares or ((plan.gpu_layers or 0,) if known.count(True) == 1 < len(known) else ())
    if not any(dealt):
        return ""
    left = iter(dealt)
    shares = [next(left) if counts else 0 for counts in known]
    if plan.gpu_shares and plan.gpu_layers and plan.gpu_layers > sum(shares):
        last = max(index for index, count in enumerate(shares) if count)
        shares[last] += 1
    return ",".join(map(str, shares))


def _native_flags(plan: Plan, model: str, name: str, host: str) -> list[tuple[str, str | None]]:
    flags: list[tuple[str, str | None]] = [
        ("--model", model),
        ("--alias", name),
        ("--host", host),
        ("--port", "{port}"),
        ("--api-key-file", "{key_file}"),
        # One slot holds the whole context of a request, so the total is a multiple.
        ("--ctx-size", str(plan.context_tokens * plan.concurrency)),
        ("--parallel", str(plan.concurrency)),
        ("--gpu-layers", str(plan.gpu_layers or 0)),
    ]
    if count := threads(plan):
        flags.append(("--threads", str(count)))
    if plan.cpu_expert_layers:
        flags.append(("--n-cpu-moe", str(plan.cpu_expert_layers)))
    if split := _tensor_split(plan):
        flags.append(("--tensor-split", split))
    sampling = flag_values(plan.chat.flags) if plan.chat else {}
    return [
        *flags,
        ("--batch-size", str(_BATCH_TOKENS)),
        ("--ubatch-size", str(_UBATCH_TOKENS)),
        # It would keep up to 8 GiB of earlier prompts in host memory, which no plan counts.
        ("--cache-ram", "0"),
        *((name, value) for name, value in sampling.items() if value),
        ("--jinja", None),
        ("--metrics", None),
    ]


def _python_server(plan: Plan, model: str, name: str, host: str) -> Command:
    if plan.cpu_expert_layers:
        raise RefusedError(
            f"llama_cpp.server cannot keep experts in host memory, as this plan does for {plan.cpu_expert_layers} "
            "layers: all of them would go to the GPU.",
            remedy="Launch with xllamacpp or llama-server.",
        )
    # It serialises streams; with interrupt_requests on it would silently abort all but one.
    argv = [
        "python",
        "-m",
        "llama_cpp.server",
        f"--model={model}",
        f"--model_alias={name}",
        f"--host={host}",
        "--port={port}",
        f"--n_ctx={plan.context_tokens}",
        *([f"--n_threads={threads(plan)}"] if threads(plan) else []),
        f"--n_gpu_layers={plan.gpu_layers or 0}",
        f"--n_batch={_UBATCH_TOKENS}",
        "--interrupt_requests=False",
    ]
    return Command(
        engine="llamacpp",
        argv=tuple(argv),
        model=name,
        env=dict(_ENV),
        key_env="API_KEY",
        health_path="/v1/models",
        program="llama-cpp-python",
        stand_in=is_stand_in(plan.model),
    )
