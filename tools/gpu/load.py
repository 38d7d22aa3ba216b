"""Steps of a GPU proof that serve models: load, a launch that is too large, a kill, and the end."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from gpu.memory import SLACK_BYTES, GpuWatch, memory_back, state_of
from gpu.report import GIB
from gpu.site import LIMIT_S, Failed, Figures, Site, Skipped, kit
from seatrial.catalog import find_checkpoint
from seatrial.errors import EngineError, MeasurementError
from seatrial.hardware import detect_hardware
from seatrial.launching import launch
from seatrial.plan import Plan, make_plan

_LENGTHS = ("--prompt-tokens", "128", "--answer-tokens", "64")
_REHEARSED = ("--prompt-tokens", "32", "--answer-tokens", "8", "--requests", "8")
_LEVELS = (1, 8)
_CONTEXT_TOKENS = 1024
_REHEARSED_MEMORY_BYTES = 8 * GIB
_TOO_LARGE = 1.5
"""How much larger than this machine's memory the plan is made that must run out of memory."""

_MOST_REQUESTS = 256
"""llama.cpp serves no more at once (LLAMA_MAX_SEQ)."""


def serve_stand_in(site: Site) -> Figures:
    """Serve the stand-in model, and measure it."""
    if (why := site.figures("models").get("stand-in")) != "ready":
        raise Skipped(f"The stand-in model is not here: {why or 'the step models did not pass'}.")
    return _serve(site, "smollm2", "smollm2")


def serve_tiny(site: Site) -> Figures:
    """Serve the tiny deepseek4 model, and measure it."""
    return _serve(site, "tiny-v4", "tiny-v4")


def serve_large(site: Site) -> Figures:
    """Serve the large random model, and measure it."""
    if not (large := site.figures("models").get("large")):
        raise Skipped("There is no large model.")
    return _serve(site, str(large), "large")


def too_large(site: Site) -> Figures:
    """Launch a plan for more memory than there is: the kit must name the GPU's memory, and leave nothing."""
    large, runner = site.figures("models").get("large"), site.figures("engine").get("runner")
    if not large:
        raise Skipped("There is no large model.")
    if site.rehearsal:  # the processor's memory belongs to others too: allocations fail at this limit
        resource.setrlimit(resource.RLIMIT_AS, (_REHEARSED_MEMORY_BYTES, _REHEARSED_MEMORY_BYTES))
    plan = _plan_too_large(large, site)
    figures: Figures = {"planned_bytes": plan.footprint.total_bytes, "requests": plan.concurrency}
    try:
        server = launch(plan, runner=runner, stall_limit_s=LIMIT_S, name="too-large")
    except EngineError as error:
        figures |= {"cause": error.cause, "exit_code": error.exit_code, "phase": error.phase, "says": error.what}
        figures |= {"remedy": error.remedy, "left": [row["name"] for row in kit("ps")], **memory_back(site)}
    else:
        server.stop()
        raise Failed("A plan for more memory than there is was served.", figures)
    expected = "host out of memory" if site.rehearsal else "gpu out of memory"
    if (figures["cause"], figures["exit_code"], figures["left"]) != (expected, EngineError.exit_code, []):
        raise Failed(f"Expected {expected!r}, exit code {EngineError.exit_code} and nothing left.", figures)
    return figures


def kill(site: Site) -> Figures:
    """Kill the engine while it is measured: the kit must say so, and the GPU's memory must be free again."""
    with _serving(site, "tiny-v4", "killed") as server:
        command = [sys.executable, "-m", "seatrial", *_measure_words("killed", site), "--requests", "10000"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as client:
            try:
                _wait_until_answering(server)
                os.kill(server["pid"], signal.SIGKILL)
                _, said = client.communicate(timeout=LIMIT_S)
            except subprocess.TimeoutExpired as error:
                raise Failed("The measurement did not end after the engine was killed.") from error
            finally:
                client.kill()
        cause = next((row["cause"] for row in kit("ps", "--all") if row["name"] == "killed"), None)
        figures = {
            "cause": cause,
            "exit_code": client.returncode,
            "says": said[max(0, said.find("llamacpp ended")) :][:600],
            **memory_back(site),
        }
    if cause != "killed" or client.returncode == 0:
        raise Failed("Expected the cause 'killed' and an exit code other than 0.", figures)
    return figures


def stop(site: Site) -> Figures:
    """Stop every server of the run, and see that none is left and that the GPU's memory is as free as at first."""
    stopped = kit("stop", "--all")["stopped"]
    left = [row["name"] for row in kit("ps")]
    figures: Figures = {"stopped": len(stopped), "left": left, **memory_back(site)}
    if left or any(row["processes_left"] for row in stopped):
        raise Failed("Servers are left.", figures)
    return figures


def _wait_until_answering(server: dict[str, Any]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        rows = [row for row in kit("ps") if row["name"] == server["name"]]
        if rows and (rows[0].get("metrics") or {}).get("running"):
            return
    raise Failed("The measurement sent no request that was seen running.")


@contextlib.contextmanager
def _serving(site: Site, model: str, name: str) -> Iterator[dict[str, Any]]:
    words = ("--runner", str(site.figures("engine")["runner"]), "--name", name, "--keep-running")
    server = kit("serve", *_plan_words(model, max(_LEVELS)), *words, limit_s=LIMIT_S * 2)
    try:
        yield server
    finally:
        kit("stop", name)


def _serve(site: Site, model: str, name: str) -> Figures:
    plans = {level: kit("plan", *_plan_words(model, level)) for level in _LEVELS}
    plan = plans[max(plans)]
    planned, weights = plan["footprint"]["per_gpu_bytes"], plan["footprint"]["weights_bytes"]
    figures: Figures = {
        "model": name,
        "weights_bytes": weights,
        "planned_bytes": planned,
        "gpu_layers": plan["gpu_layers"],
    }
    before = memory_back(site)["used_after_bytes"]
    with _serving(site, model, name) as server:
        with GpuWatch(server["pid"], state_of(site) if site.rehearsal else None) as watch:
            points = kit(*_measure_words(name, site), limit_s=LIMIT_S * 2, accepted=(0, MeasurementError.exit_code))
        figures |= {"ready_after_s": server["ready_after_s"], "telemetry": watch.figures()}
        figures["held_bytes"] = max(0, figures["telemetry"]["most_used_bytes"] - before)
    figures["points"] = [_compare(plans[point["concurrency"]]["prediction"], point) for point in points]
    figures |= memory_back(site)
    wrong = [point["self_check"]["why"] for point in points if not point["self_check"]["valid"]]
    wrong += [f"requests failed: {point['requests']['errors']}" for point in points if point["requests"]["failed"]]
    if wrong and not site.rehearsal:
        raise Failed(f"The measurement is not valid: {'; '.join(wrong)}", figures)
    if not plan["gpu_layers"] or figures["held_bytes"] < max(weights, 1 if site.rehearsal else SLACK_BYTES):
        raise Failed("The GPU does not hold the weights: the engine computes on the processor.", figures)
    return figures


def _compare(predicted: dict[str, Any], point: dict[str, Any]) -> Figures:
    """Return prediction, measurement and their ratio for one level."""
    expected = {
        "tpot_s": predicted["tpot_s"]["expected"],
        "ttft_s": predicted["ttft_s"]["expected"],
        "output_tokens_per_s": predicted["decode_tokens_per_s"]["expected"],
    }
    measured = {
        "tpot_s": (point["tpot_s"] or {}).get("p50"),
        "ttft_s": (point["ttft_s"] or {}).get("p50"),
        "output_tokens_per_s": point["output_tokens_per_s"],
    }
    ratio = {name: measured[name] / value for name, value in expected.items() if value and measured[name]}
    return {"concurrency": point["concurrency"], "predicted": expected, "measured": measured, "ratio": ratio}


def _plan_too_large(large: str, site: Site) -> Plan:
    """Return a plan that fits a machine with a hundred times this memory, and needs half as much again as this one has."""
    here = detect_hardware()
    gpus = tuple(
        replace(gpu, memory_bytes=100 * (gpu.memory_bytes or 0), memory_free_bytes=100 * (gpu.memory_bytes or 0))
        for gpu in here.gpus
    )
    memory = 100 * (here.host.memory_bytes or 0)
    host = replace(here.host, memory_bytes=memory, memory_available_bytes=memory, memory_limit_bytes=None)
    has = _REHEARSED_MEMORY_BYTES if site.rehearsal else sum(gpu.memory_bytes or 0 for gpu in here.gpus)
    requests = 1
    while requests <= _MOST_REQUESTS:
        plan = make_plan(
            checkpoint=large,
            hardware=replace(here, gpus=gpus, host=host),
            engine="llamacpp",
            context_tokens=find_checkpoint(large).config["max_position_embeddings"],
            concurrency=requests,
        )
        requests *= 2
        if plan.runs and plan.footprint.total_bytes > _TOO_LARGE * has:
            return plan
    raise Skipped(f"No plan of this model needs {_TOO_LARGE} times {has / GIB:.0f} GiB.")


def _plan_words(model: str, level: int) -> list[str]:
    """Return the options that plan or serve a model with llama.cpp for so many requests at once."""
    kind = "--checkpoint" if model.endswith(".gguf") else "--model"
    load = ("--context-tokens", str(_CONTEXT_TOKENS), "--concurrency", str(level), "--no-tuned")
    return [kind, model, "--engine", "llamacpp", *load]


def _measure_words(name: str, site: Site) -> list[str]:
    """Return the command that measures a server at every level."""
    load = _REHEARSED if site.rehearsal else _LENGTHS
    return ["measure", "--server", name, "--concurrency", ",".join(map(str, _LEVELS)), *load]
