"""A made-up engine: planned like llama.cpp, its server the scripted one of the tests."""

from __future__ import annotations

from seatrial.engines.served import served_name
from seatrial.engines.types import Command
from seatrial.flags import Flags
from seatrial.plan.types import Plan


def build(plan: Plan, *, model_path: str | None = None, runner: str | None = None, host: str = "127.0.0.1") -> Command:
    """Return the command of the server.

    Args:
        plan: A plan for it.
        model_path: Local folder of the weights; the hub id by default.
        runner: The program; the one on PATH by default.
        host: Address to listen on.

    """
    name = served_name(plan.checkpoint)
    flags = Flags.of({"--host": host, "--port": "{port}", "--key-file": "{key_file}", "--model": name})
    argv = (runner or "toy-serve", *flags.to_argv())
    env = {"TOY_WEIGHTS": model_path or plan.checkpoint}
    return Command(engine="toy", argv=argv, model=name, program="toy", metrics_path="/metrics", env=env)
