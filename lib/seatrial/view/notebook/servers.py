"""A server in a notebook: its address, its replies, its log, and the proof that it is gone."""

from __future__ import annotations

from seatrial.measure.ask import ChatReply
from seatrial.server import Server, Stopped
from seatrial.server.failures.diagnosis import diagnose
from seatrial.server.running import NotLaunched
from seatrial.server.state import Exit
from seatrial.units import format_seconds
from seatrial.view.tables.badges import kind_label
from seatrial.view.tables.table import Row, Table
from seatrial.view.untrusted import PlainText, plain_text

_LOG_LINES = 20

_SCRIPTED_LOG = (
    "load_tensors: loading model tensors, this can take a while... (mmap = true)",
    "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 91022.31 MiB on device 0: cudaMalloc failed: out of memory",
    "alloc_tensor_range: failed to allocate CUDA0 buffer of size 95443788800",
    "llama_model_load: error loading model: unable to allocate CUDA0 buffer",
)  # in llama.cpp's wording, of weights that do not fit on the GPU; written for the lesson, by no engine


def show_server(server: Server | NotLaunched) -> Table | PlainText:
    """Return address and model of a launched server; or that nothing was launched, and why."""
    if isinstance(server, NotLaunched):
        return PlainText(f"{server.why} {server.remedy}".strip(), title="Nothing was launched.")
    rows: list[Row] = [
        ("model", f"{plain_text(server.model)}{kind_label(stand_in=server.stand_in, simulated=server.simulated)}"),
        ("engine", server.engine),
        ("address", f"{server.url}/v1"),
        ("process", "unknown" if server.pid is None else str(server.pid)),
        ("API key", f"in {server.api_key_file}, readable by you only"),
        ("log", server.log),
    ]
    title = f"Ready after {format_seconds(server.ready_after_s)}: it has generated a token"
    return Table(title, ("server", ""), tuple(rows))


def show_reply(reply: ChatReply | NotLaunched) -> PlainText:
    """Return a model's answer, as text and as nothing else."""
    if isinstance(reply, NotLaunched):
        return PlainText("", title="No answer: nothing was launched.")
    label = kind_label(stand_in=reply.stand_in, simulated=reply.simulated)
    count = "" if reply.tokens is None else f", {reply.tokens} tokens"
    thought = f"[thinking] {reply.reasoning}\n\n" if reply.reasoning else ""
    title = f"{reply.model}{label}, after {format_seconds(reply.took_s)}{count}"
    return PlainText(f"{reply.question}\n\n{thought}{reply.text}", title=title)


def show_log(server: Server | NotLaunched, lines: int = _LOG_LINES) -> PlainText:
    """Return the last lines of a server's log, as text and as nothing else."""
    if isinstance(server, NotLaunched):
        return PlainText("", title="No log: nothing was launched.")
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


def show_stopped(stopped: Stopped | NotLaunched) -> PlainText:
    """Return the proof that a server is gone."""
    if isinstance(stopped, NotLaunched):
        return PlainText("Nothing was launched, so there is nothing to stop.")
    port = "free again" if stopped.port_free else "taken by another process since"
    left = f"{stopped.processes_left} processes left"
    return PlainText(f"{left}, port {stopped.port} {port}.", title=f"Gone after {format_seconds(stopped.took_s)}")
