"""Runs the steps of a GPU proof: each in a process of its own, within its limit and the budget, recorded as it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from gpu.prepare import with_libraries
from gpu.report import Proof, StepResult, write_proof, write_whole
from gpu.site import Failed, Site, Skipped

ROOT = Path(__file__).resolve().parents[2]
_SCRIPT = ROOT / "tools" / "gpu_proof.py"
_STOP_S = 25.0
"""Seconds of the budget that are kept to stop what runs."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: the function that does it, and what it proves."""

    name: str
    function: str  # module:function
    proves: str
    limit_s: float
    needs: tuple[str, ...] = ()  # steps that must have passed


STEPS: tuple[tuple[Step, ...], ...] = (
    (Step("packages", "gpu.prepare:packages", "the kit installs and starts from carried wheels", 90),),
    (
        Step("detect", "gpu.prepare:detect", "NVML's own figures are read; nvidia-smi agrees", 60, ("packages",)),
        Step("idle", "gpu.memory:idle", "telemetry reads memory, load and power through NVML", 60, ("packages",)),
    ),
    (
        Step("engine", "gpu.prepare:engine", "llama.cpp is built for this GPU, and sees it", 360, ("detect",)),
        Step("models", "gpu.prepare:models", "the models are made or unpacked, and checked", 300, ("packages",)),
    ),
    (Step("bandwidth", "gpu.prepare:bandwidth", "memory bandwidth of host and GPU is measured", 90, ("detect",)),),
    *(
        (Step(name, f"gpu.load:{name.replace('-', '_')}", proves, 150, ("engine", "models", "idle")),)
        for name, proves in (
            ("serve-tiny", "the tiny deepseek4 is served from GPU memory; prediction beside measurement"),
            ("serve-stand-in", "the stand-in model likewise"),
            ("serve-large", "a model of several GB with V4 Flash's own layers likewise"),
            ("too-large", "running out of GPU memory is named as that, with exit code 4, and nothing is left"),
            ("kill", "a killed engine is noticed while it is measured; its GPU memory is free again"),
        )
    ),
    (
        Step(
            "stop", "gpu.load:stop", "every server is gone, and the GPU's memory is as free as at first", 60, ("idle",)
        ),
    ),
)
"""Steps in their order; those of one group run at the same time."""


@dataclass(slots=True)
class Run:
    """One run, while it goes on."""

    site: Site
    out: Path
    budget_s: float
    at: str
    began: float = field(default_factory=time.monotonic)
    only: frozenset[str] = frozenset()  # names of steps, all if empty
    results: dict[str, StepResult] = field(default_factory=dict)
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    interrupted: bool = False

    def go(self) -> Proof:
        """Do every step, and write the record after each."""
        for group in STEPS:
            with ThreadPoolExecutor(len(group)) as pool:
                for result in pool.map(self._step, group):
                    self.results[result.name] = result
                    print(f"{result.status:8}{result.seconds:7.1f} s  {result.name}  {result.reason}", flush=True)
                    write_proof(self.out, self.proof())
        return self.proof()

    def interrupt(self, *_: object) -> None:
        """End the steps that run, after Ctrl-C or SIGTERM; the others are skipped and the record is written."""
        self.interrupted = True
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)

    def proof(self) -> Proof:
        """Return everything seen so far; steps that did not begin are skipped."""
        seen = self.site.figures("detect")
        gpus = seen.get("gpus") or [{}]
        return Proof(
            at=self.at,
            rehearsal=self.site.rehearsal,
            device=gpus[0].get("name"),
            driver=seen.get("driver"),
            cuda=seen.get("cuda"),
            host=seen.get("host"),
            seatrial=self.site.figures("packages").get("seatrial", "unknown"),
            budget_s=self.budget_s,
            seconds=time.monotonic() - self.began,
            steps=[
                self.results.get(step.name) or _result(step, "skipped", reason="not reached")
                for group in STEPS
                for step in group
            ],
        )

    def _step(self, step: Step) -> StepResult:
        """Run one step in a process of its own, which ends at its limit or when the budget is spent."""
        if self.only and step.name not in self.only:
            return _result(step, "skipped", reason="not asked for")
        lacking = [name for name in step.needs if self.results[name].status != "passed"]
        if lacking:
            return _result(step, "skipped", reason=f"{', '.join(lacking)} did not pass")
        if self.interrupted and step.name != "stop":
            return _result(step, "skipped", reason="interrupted")
        left = self.budget_s - (time.monotonic() - self.began) - (0 if step.name == "stop" else _STOP_S)
        if left <= 0:
            return _result(step, "skipped", reason=f"the budget of {self.budget_s:.0f} s was spent")
        began, limit_s = time.monotonic(), min(step.limit_s, left)
        answer = self.site.work / f"{step.name}.json"
        words = [str(self.site.pack), str(self.site.work), *(["--rehearse"] if self.site.rehearsal else [])]
        said = self._bounded([sys.executable, str(_SCRIPT), "step", step.name, *words], limit_s)
        seconds = time.monotonic() - began
        if said is None:  # what it was doing may have left servers, which hold the GPU's memory
            self._bounded([sys.executable, "-m", "seatrial", "stop", "--all"], _STOP_S)
        try:
            document = json.loads(answer.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            why = (
                f"ended after {limit_s:.0f} s, its limit" if said is None else f"ended without a result: {said[-600:]}"
            )
            why = "interrupted" if self.interrupted else why
            return _result(step, "failed", seconds=seconds, reason=why)
        return _result(step, seconds=seconds, **document)

    def _environment(self) -> dict[str, str]:
        """Return the environment of a step: the kit and its packages, a state folder of the run, the engine once ready."""
        folders = [str(ROOT / "lib"), str(self.site.work / "site"), os.environ.get("PYTHONPATH", "")]
        made = {
            **os.environ,
            "PYTHONPATH": ":".join(filter(None, folders)),
            "SEATRIAL_STATE": str(self.site.work / "state"),
        }
        ready = self.site.figures("engine")
        if ready.get("program"):
            made["SEATRIAL_LLAMA_SERVER"] = ready["program"]
            made["LD_LIBRARY_PATH"] = with_libraries(ready["libraries"])
        return made

    def _bounded(self, command: list[str], limit_s: float) -> str | None:
        """Run a command and return what it said; end all of its processes at the limit and return None."""
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=self._environment(),
            start_new_session=True,
        ) as process:
            self.processes.append(process)
            try:
                return process.communicate(timeout=limit_s)[0]
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                return None


def with_needs(names: Iterable[str]) -> frozenset[str]:
    """Return the names of steps, of those they need, and of the last one, which stops what runs.

    Raises:
        KeyError: If there is no such step.

    """
    steps = {step.name: step for group in STEPS for step in group}
    found, open_ = {"stop"}, [*names, "stop"]
    while open_:
        step = steps[open_.pop()]
        found.add(step.name)
        open_ += step.needs
    return frozenset(found)


def _result(step: Step, status: Any, **fields: Any) -> StepResult:
    return StepResult(step.name, step.proves, status, **fields)


def do_step(name: str, site: Site) -> None:
    """Do one step and write how it ended; an unexpected error ends it without a result, and its traceback is the reason."""
    step = next(step for group in STEPS for step in group if step.name == name)
    module, _, function = step.function.partition(":")
    try:
        document = {"status": "passed", "figures": getattr(import_module(module), function)(site)}
    except Failed as error:
        document = {"status": "failed", "reason": str(error), "figures": error.figures}
    except Skipped as error:
        document = {"status": "skipped", "reason": str(error)}
    write_whole(site.work / f"{name}.json", json.dumps(document))
