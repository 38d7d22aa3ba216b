"""Measures a server from a process of its own, so that nothing else touches its clock.

``python -m seatrial.measure.client`` reads one job from standard input and writes events to
standard output (see ``messages``). The client ends when the job is done or when standard input
ends, which also happens when its parent is killed: it never outlives its parent.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import threading
from collections.abc import Iterator

from seatrial.errors import MeasurementError, SeatrialError, UnknownNameError, UsageError
from seatrial.measure.client.endless import Wish
from seatrial.measure.client.event_writer import EventWriter, write_event
from seatrial.measure.client.level_prompts import LevelPrompts
from seatrial.measure.client.levels import WARMUP_TOKENS, Emit, LevelRunner
from seatrial.measure.client.prompts import PromptWriter
from seatrial.measure.client.sender import Sender
from seatrial.measure.client.session import PLAIN, RequestError, Session
from seatrial.measure.client_limits import check_file_limit, named_limits, raise_file_limit
from seatrial.measure.messages import ClientReady, Failed, LoadJob, decode_job, decode_wish
from seatrial.measure.stream.chunks import one_line
from seatrial.measure.workload import levels_of
from seatrial.printable import shortened

STDIN = 0
_SWITCH_S = 0.0005  # how long a thread may keep the event loop from running; Python's own is 5 ms
# A server without the endpoint does not know that a model was asked for.
_NAMES_MODEL = re.compile(r"\bmodels?\b", re.IGNORECASE)


async def measure(job: LoadJob, emit: Emit, wish: Wish) -> None:
    """Run the job; raise UsageError for a wrong key or model, MeasurementError if the server does not answer."""
    async with Session(job.url, job.api_key) as session:
        model = await _find_model(session, job)
        sender = Sender(session, model, job.workload, job.start_ns)
        sender.counts_tokens = await session.find_tokenizer(model)

        async def count(text: str) -> int | None:
            with contextlib.suppress(RequestError):
                return await session.count_tokens(model, text)
            return None

        writer = PromptWriter(job.workload.seed, count if sender.counts_tokens else None)
        prompts = LevelPrompts(writer, job.workload, job.recording)
        runner = LevelRunner(sender, session, prompts, job.workload, emit, wish=wish)
        watch = asyncio.create_task(runner.watch(job.start_ns))
        try:
            notes = await _get_acquainted(sender, writer, job)
            emit(ClientReady(model, notes))
            await runner.run(job.start_ns)
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch


async def _find_model(session: Session, job: LoadJob) -> str:
    try:
        listed = await session.models()
    except RequestError as error:
        if error.status in {401, 403}:
            raise UsageError(
                f"{job.url} {'refuses this' if job.api_key else 'asks for an'} API key: {error}.",
                remedy="Name the environment variable that holds the key with --api-key-env.",
            ) from error
        what = f"{job.url} cannot be measured: {error}."
        if error.remedy is not None:
            raise UsageError(what, remedy=error.remedy) from error
        remedy = "Check that the server runs and is ready, and that the address is right."
        raise MeasurementError(what, remedy=remedy) from error
    names = list(dict.fromkeys(str(model["id"]) for model in listed or () if model.get("id")))
    if job.model is not None:
        aliases = {str(model[name]) for model in listed or () for name in ("root", "name", "model") if model.get(name)}
        if names and job.model not in aliases.union(names):
            raise UnknownNameError("model of that server", job.model, names)
        return job.model
    if len(names) != 1:
        offered = f"lists {len(names)} models ({', '.join(map(one_line, names[:5]))})" if names else "lists no model"
        raise UsageError(f"{job.url} {offered}.", remedy="Name one with --model.")
    return names[0]


async def _get_acquainted(sender: Sender, writer: PromptWriter, job: LoadJob) -> tuple[str, ...]:
    """Learn from one discarded request: the endpoint, the length of the chat template, whether usage comes."""
    notes = []
    prompt = (await writer.write(levels_of(job.workload)[0].prompt_tokens)).text
    tokens = min(job.workload.answer_tokens, WARMUP_TOKENS)
    first = await sender.send(-1, prompt, job.start_ns, answer_tokens=tokens)
    if first.error is not None and _has_no_chat(first.error):
        sender.path = PLAIN
        notes.append(f"The server has no chat endpoint or template: {PLAIN} was measured.")
        first = await sender.send(-1, prompt, job.start_ns, answer_tokens=tokens)
    if first.error is not None and first.error.startswith("http_404") and _NAMES_MODEL.search(first.error):
        raise UsageError(
            f"{job.url} does not serve the model {shortened(sender.model)!r}: {first.error}.",
            remedy="Name one that it serves with --model; GET /v1/models lists them.",
        )
    if first.error is not None and first.error.startswith(("http_401", "http_403")):
        raise UsageError(
            f"{job.url} refuses completions: {first.error}.",
            remedy="Name the environment variable that holds the API key with --api-key-env.",
        )
    if not sender.counts_tokens:
        notes.append("The server has no tokenizer: the length of prompts is approximate.")
    if first.prompt_tokens is not None:
        await writer.learn(prompt, first.prompt_tokens)
    if first.error is None and first.token_source != "usage" and not first.usage_doubt:  # noqa: S105 -- model tokens
        notes.append(f"The server sends no usage: output tokens are counted by {first.token_source}.")
    return tuple(notes)


def _has_no_chat(error: str) -> bool:
    if error.startswith("http_404") and _NAMES_MODEL.search(error):
        return False
    return error.startswith(("http_404", "http_405", "http_501")) or "chat template" in error.casefold()


def _read_lines() -> Iterator[bytes]:
    """Yield the lines of standard input, which is read without a buffer: a thread that waits in one cannot be ended."""
    held = b""
    while piece := os.read(STDIN, 1 << 16):
        *lines, held = (held + piece).split(b"\n")
        yield from lines


def _follow_parent(lines: Iterator[bytes], wish: Wish) -> None:
    """Take the parent's wishes, and leave with it."""
    for line in lines:
        wish.streams = decode_wish(line).streams
    os._exit(0)


def _run(job: LoadJob, emit: Emit, wish: Wish) -> None:
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        runner.run(measure(job, emit, wish))


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def main() -> int:
    """Do the job on standard input; return 0 once every event is written."""
    sys.setswitchinterval(_SWITCH_S)
    lines, wish = _read_lines(), Wish()
    job: LoadJob = decode_job(next(lines, b""))
    try:
        with named_limits():
            raise_file_limit()
            check_file_limit(max(level.streams or 1 for level in levels_of(job.workload)))
            threading.Thread(target=_follow_parent, args=(lines, wish), name="parent-watch", daemon=True).start()
            writer = EventWriter()
            with contextlib.closing(writer):
                _run(job, writer.emit, wish)
    except SeatrialError as error:
        write_event(Failed(isinstance(error, UsageError), error.what, error.remedy))
    return 0


if __name__ == "__main__":
    # Exit at once: the thread that waits for the end of standard input cannot be joined.
    os._exit(main())
