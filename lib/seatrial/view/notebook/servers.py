"""A server in a notebook: its address, its replies, its log, and the proof that it is gone."""

from __future__ import annotations

from seatrial.launching.next_plan import kept_plan
from seatrial.launching.open import Closed
from seatrial.measure.ask import ChatReply
from seatrial.measure.target import RemoteServer
from seatrial.server import Server
from seatrial.server.failures.diagnosis import diagnose
from seatrial.server.running import NotLaunched
from seatrial.server.state import Exit
from seatrial.units import counted, format_seconds
from seatrial.view.tables.badges import kind_label
from seatrial.view.tables.table import Row, Table
from seatrial.view.untrusted import PlainText, plain_text

_LOG_LINES = 20
_MODELS_SHOWN, _MODEL_SIGNS = 8, 120

_SCRIPTED_LOG = (
    "load_tensors: loading model tensors, this can take a while... (mmap = true)",
    "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 91022.31 MiB on device 0: cudaMalloc failed: out of memory",
    "alloc_tensor_range: failed to allocate CUDA0 buffer of size 95443788800",
    "llama_model_load: error loading model: unable to allocate CUDA0 buffer",
)  # in llama.cpp's wording, of weights that do not fit on the GPU; written for the lesson, by no engine


def show_server(server: Server | RemoteServer | NotLaunched) -> Table | PlainText:
    """Return address and model of an opened server; or that nothing was launched, and why."""
    if isinstance(server, NotLaunched):
        return PlainText(f"{server.why} {server.remedy}".strip(), title="Nothing was launched.")
    if isinstance(server, RemoteServer):
        return _show_remote(server)
    rows: list[Row] = [
        ("model", f"{plain_text(server.model)}{kind_label(stand_in=server.stand_in, simulated=server.simulated)}"),
        ("engine", server.engine),
        *_sizes(server),
        ("address", f"{server.url}/v1"),
        ("process", "unknown" if server.pid is None else str(server.pid)),
        ("API key", f"in {server.api_key_file}, readable by you only"),
        ("log", server.log),
    ]
    title = f"Ready after {format_seconds(server.ready_after_s)}: it has generated a token"
    if not server.ours:
        title = f"Already running, {format_seconds(server.age_s)} old: another process launched it"
    return Table(title, ("server", ""), tuple(rows))


def _sizes(server: Server) -> list[Row]:
    plan = kept_plan(server)
    if plan is None:
        return []
    text = f"{plan.context_tokens:,} tokens of context, {counted(plan.concurrency, 'request')} at once; more wait"
    return [("serves", text)]


def _show_remote(server: RemoteServer) -> Table:
    listed = ", ".join(plain_text(model, _MODEL_SIGNS) for model in server.models[:_MODELS_SHOWN])
    more = f" and {len(server.models) - _MODELS_SHOWN} more" if len(server.models) > _MODELS_SHOWN else ""
    rows: list[Row] = [
        ("models it lists", f"{listed}{more}" if listed else "none: it has no list"),
        ("asked for", plain_text(server.model, _MODEL_SIGNS) if server.model else "unknown"),
        ("address", f"{server.url}/v1"),
        ("API key", f"from the variable {server.api_key_env}" if server.api_key_env else "none is sent"),
    ]
    return Table("It answers; it was not launched by this kit", ("server", ""), tuple(rows))


def show_reply(reply: ChatReply | NotLaunched) -> PlainText:
    """Return a model's answer, as text and as nothing else."""
    if isinstance(reply, NotLaunched):
        return PlainText("", title="No answer: nothing was launched.")
    label = kind_label(stand_in=reply.stand_in, simulated=reply.simulated)
    count = "" if reply.tokens is None else f", {reply.tokens} tokens"
    thought = f"[thinking] {reply.reasoning}\n\n" if reply.reasoning else ""
    title = f"{reply.model}{label}, after {format_seconds(reply.took_s)}{count}"
    return PlainText(f"{reply.question}\n\n{thought}{reply.text}", title=title)


def show_log(server: Server | RemoteServer | NotLaunched, lines: int = _LOG_LINES) -> PlainText:
    """Return the last lines of a server's log, as text and as nothing else."""
    if isinstance(server, NotLaunched):
        return PlainText("", title="No log: nothing was launched.")
    if isinstance(server, RemoteServer):
        return PlainText("", title=f"No log here: it is where {server.url} runs.")
    tail = server.read_log(lines)
    return PlainText("\n".join(tail), title=f"The last {len(tail)} lines of {server.log}")


def table_scripted_failure() -> Table:
    """Return the diagnosis of a failed launch, from a scripted log; nothing is launched for it."""
    ended = Exit("exited", code=1, signal=None, error="", oom_kills={}, at="")
    found = diagnose(ended, _SCRIPTED_LOG, "llamacpp")
    rows: list[Row] = [("cause", f"{found.cause}: {found.what}"), ("phase", found.phase)]
    rows += [("evidence", plain_text(line)) for line in found.evidence]
    rows.append(("remedy", found.remedy))
    return Table("Scripted log, nothing was launched: what a failure names", ("failure", ""), tuple(rows))


def show_stopped(closed: Closed | NotLaunched) -> PlainText:
    """Return the proof that a server is gone, or why it was left running; and what else this process still owns."""
    if isinstance(closed, NotLaunched):
        return PlainText("Nothing was launched, so there is nothing to stop.")
    if closed.stopped is None:
        text, title = closed.remedy, f"{closed.name} was left running: {closed.left_running}"
    else:
        stopped = closed.stopped
        port = "free again" if stopped.port_free else "taken by another process since"
        title = f"Gone after {format_seconds(stopped.took_s)}"
        left = f"{stopped.processes_left} processes left" if not closed.others else f"{closed.name} has no process left"
        text = f"{left}, port {stopped.port} {port}."
    if closed.others:
        others = "\n".join(f"  {other}" for other in closed.others)
        names = " ".join(other.partition(" ")[0] for other in closed.others)
        text += f"\nThis notebook launched others that still run:\n{others}\nStop them with: seatrial stop {names}"
    return PlainText(text.strip(), title=title)
