"""What a launch asks for, and whether a server that runs is exactly that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from seatrial.engines.types import Command
from seatrial.errors import DoesNotFitError, RefusedError, UsageError
from seatrial.launching.access import Access, secured
from seatrial.launching.checks import command_of
from seatrial.launching.next_plan import kept_plan
from seatrial.plan.choose import make_plan
from seatrial.plan.types import Plan
from seatrial.printable import shortened
from seatrial.server.folder import folder_of
from seatrial.server.running import Server
from seatrial.units import counted, format_seconds

_MOST_SHOWN = 6
_SET_AT_LAUNCH = {"no_proxy", "NO_PROXY"}  # by what the launching process has: launching/proxies.py


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person asks ``launch`` for; the fields are its arguments."""

    plan: Plan | Command
    access: Access
    runner: str | None = None
    model_path: Path | None = None
    options: Sequence[str] = ()
    tuned: bool = True
    port: int = 0
    own_key: str | None = field(default=None, repr=False)

    def command(self) -> Command:
        """Return the command to start; raise the error of a launch that cannot be."""
        return secured(command_of(self.plan, self.runner, self.model_path, self.tuned), self.access, self.options)

    def check_is(self, server: Server) -> None:
        """Refuse a server that runs and is another one than asked for.

        Raises:
            UsageError: With both.

        """
        different = self._differences(server)
        if not different:
            return
        shown = "; ".join(shortened(one) for one in different[:_MOST_SHOWN])
        more = f"; {len(different) - _MOST_SHOWN} more" if len(different) > _MOST_SHOWN else ""
        raise UsageError(
            f"A server named {server.name!r} runs already, and is another one than asked for.\n"
            f"  runs       {describe_server(server)}\n"
            f"  asked for  {_describe(self.plan)}\n"
            f"  differs    {shown}{more}",
            remedy=f"Use the one that runs (--server {server.name}), stop it (seatrial stop {server.name}), "
            "or choose another --name for the new one.",
        )

    def _differences(self, server: Server) -> list[str]:
        """Return how the server differs from what is asked for; empty if it is that.

        A running server holds memory, so a plan made beside it may be another one than before, or not fit. The same
        request counts as the same wish if it gave this server's command on the machine as it was at the launch.
        """
        before = self._on_the_machine_at(server)
        try:
            different = list(self.unlike(server))
        except (DoesNotFitError, RefusedError):
            if before is None:
                raise
            return list(before.unlike(server))
        if different and before is not None and not list(before.unlike(server)):
            return []
        return different

    def _on_the_machine_at(self, server: Server) -> Wish | None:
        """Return this wish, planned for the machine as it was when the server was launched; None if that is no other."""
        kept, plan = kept_plan(server), self.plan
        if kept is None or isinstance(plan, Command) or plan.hardware.only_named or plan.hardware == kept.hardware:
            return None
        if (plan.checkpoint, plan.engine) != (kept.checkpoint, kept.engine):
            return None
        made = make_plan(
            checkpoint=plan.checkpoint,
            hardware=kept.hardware,
            nodes=plan.nodes,
            engine=plan.engine,
            context_tokens=plan.context_tokens,
            concurrency=plan.concurrency,
            objective=plan.objective,
            tensor_parallel=plan.parallelism.tensor if plan.runs and plan.parallelism.tensor > 1 else None,
            recipes=plan.recipe is not None or not plan.runs,
            drafter=plan.drafter_asked,
            draft_tokens=plan.draft_tokens,
        )
        share = plan.gpu_memory_fraction if plan.runs else made.gpu_memory_fraction
        return replace(self, plan=replace(made, settings=plan.settings, gpu_memory_fraction=share))

    def unlike(self, server: Server) -> Iterator[str]:
        """Yield what of the server is not as asked, a clause each; raise the error of a launch that cannot be."""
        command, record = self.command(), server.record
        key_file = folder_of(server.name).engine_key_file(command.key_file_text, command.key_file_suffix)
        asked = command.filled(record.port, key_file)
        if record.engine != asked.engine:
            yield f"the engine: {record.engine}, not {asked.engine}"
        if record.model != asked.model:
            yield f"the model: {record.model}, not {asked.model}"
        yield from _unlike_sizes(kept_plan(server), self.plan)
        yield from _unlike_words(record.argv, asked.argv)
        env = {name: value for name, value in record.env.items() if name not in _SET_AT_LAUNCH}
        wanted = {name: value for name, value in asked.env.items() if name not in _SET_AT_LAUNCH}
        yield from _unlike_words(_assignments(env), _assignments(wanted))
        if self.port not in {0, record.port}:
            yield f"the port: {record.port}, not {self.port}"
        if self.own_key is not None and self.own_key != server.api_key():
            yield "the API key"


def describe_server(server: Server) -> str:
    """Return what a server serves and since when, in one line."""
    kept = kept_plan(server)
    what = _describe(kept) if kept else f"{server.model} with {server.engine}"
    return f"{what}, {format_seconds(server.age_s)} old (pid {server.pid or 'unknown'}, {server.url})"


def _describe(plan: Plan | Command) -> str:
    if isinstance(plan, Command):
        return f"{plan.model} with {plan.engine}"
    sizes = f"{plan.context_tokens:,} tokens of context for {counted(plan.concurrency, 'request')} at once"
    return f"{plan.model} ({plan.checkpoint}) with {plan.engine}, {sizes}"


def _unlike_sizes(kept: Plan | None, plan: Plan | Command) -> Iterator[str]:
    """Yield the sizes of two plans that differ: not every engine has them in its command."""
    if kept is None or isinstance(plan, Command):
        return
    if kept.context_tokens != plan.context_tokens:
        yield f"the context: {kept.context_tokens:,} tokens, not {plan.context_tokens:,}"
    if kept.concurrency != plan.concurrency:
        yield f"the requests at once: {kept.concurrency:,}, not {plan.concurrency:,}"


def _unlike_words(runs: Sequence[str], asked: Sequence[str]) -> Iterator[str]:
    """Yield the words that only one of two commands has; their order if that is all."""
    missing = [word for word in runs if word not in asked]
    added = {word.partition("=")[0]: word for word in asked if word not in runs}
    for word in missing:
        instead = added.pop(word.partition("=")[0], None)
        yield f"it runs with {word}" + (f", not {instead}" if instead else "")
    for word in added.values():
        yield f"it runs without {word}"
    if not missing and tuple(runs) != tuple(asked) and not added:
        yield "the order of its arguments"


def _assignments(env: Mapping[str, str]) -> list[str]:
    return sorted(f"{name}={value}" for name, value in env.items())
