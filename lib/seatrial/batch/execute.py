"""Runs one notebook from top to bottom in a fresh kernel, and keeps what came of it.

papermill does the running. Around it: this Python's own kernel (never another one that happens
to be registered under the same name), over a Unix socket, with an IPython profile of its own;
the notebook saved whole after each cell; a kernel that dies or is interrupted shown as the
error it is.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import ensure_event_loop
from nbclient.exceptions import DeadKernelError
from papermill import execute_notebook
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from seatrial import errors
from seatrial.batch.signals import hears_interrupt
from seatrial.batch.types import NotebookFailure, ParameterValue, Status
from seatrial.records import write_text
from seatrial.secret_text import masked, secrets_of
from seatrial.server.folder import server_keys

_ENGINE = "seatrial"
GRACE_S = 8.0
"""Seconds an interrupted kernel has to stop what it started before it is killed."""
_AGAIN_S = 2.0
"""A cell that still runs so long after an interrupt gets another one."""
_DROPPED_S = 1.0
"""A kernel that ignores interrupts for so long after one, and has not ended its cell, has dropped the request."""
_SHUTDOWN_S = 1.2
"""ipykernel hangs in its exit one time in four; it gets SIGTERM after half of this, SIGKILL after all of it.
Nothing is lost: every cell is done by then, and an engine it launched is stopped by its own supervisor."""
_SOCKET_PATH_LIMIT = 90
"""Unix socket paths end at 104 characters on macOS; the kernel appends to ours."""
_EVIDENCE_LINES = 6

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Interruption(Exception):  # noqa: N818 -- asked for, so no error
    """Ends the cell loop of a notebook that is asked to stop; never shown."""


@dataclass(slots=True)
class Execution:
    """One notebook being run.

    Attributes:
        source: The notebook to run.
        target: Where the executed notebook is written.
        parameters: Values for its parameters cell.
        on_cell: Called with the id and the place (from 1) of each code cell that starts.
        kernel_pid: The process that runs its cells, None before the first of them.

    """

    source: Path
    target: Path
    parameters: Mapping[str, ParameterValue]
    on_cell: Callable[[str, int], None]
    notebook: Any = None
    cell: Any = None
    stopping: bool = False
    kernel_pid: int | None = None
    _kernel: Any = None
    _code_cells: int = 0
    _in_cell: bool = False
    _asked_at: float = 0.0
    _deaf_since: float = 0.0
    _scratch: Path = field(default_factory=Path)
    _keys: set[str] = field(default_factory=set)

    def run(self) -> tuple[Status, NotebookFailure | None]:
        """Execute the notebook, save it, and say how it ended.

        Raises:
            UsageError: The executed notebook cannot be written.

        """
        papermill_engines.register(_ENGINE, _Papermill)
        status: Status = "completed"
        failure = None
        with tempfile.TemporaryDirectory(prefix="seatrial-") as scratch:
            self._scratch = Path(scratch)
            try:
                execute_notebook(
                    _literal(self.source),
                    None,
                    parameters=dict(self.parameters),
                    engine_name=_ENGINE,
                    kernel_name="python3",
                    language="python",
                    progress_bar=False,
                    execution=self,
                )
            except PapermillExecutionError as error:
                failure = self._failure(error)
            except Interruption:
                pass  # self.stopping says so
            except RuntimeError as error:  # the kernel never answered
                message = f"The notebook's kernel did not start: {error} {_tail(self.kernel_log())}".strip()
                message = masked(message, self._secrets())
                failure = NotebookFailure("KernelDied", message, self._cell_id(), errors.SeatrialError.exit_code)
            finally:
                ensure_event_loop().close()  # jupyter_core makes one for each thread and leaves it open
        if self.stopping:
            status, failure = (
                "interrupted",
                NotebookFailure("Interrupted", "interrupted", self._cell_id(), errors.INTERRUPTED),
            )
        elif failure is not None:
            status = "failed"
        if status != "completed":
            self._mark_unfinished()
        self._save()
        return status, failure

    def interrupt(self) -> None:
        """Run no further cell, and stop the running one as Ctrl-C would; to be called until it has ended.

        ipykernel ignores SIGINT between cells, and drops the whole request, for good, where the signal comes just
        as it takes up a cell. So the signal waits until it is heard, is sent again where nothing came of it, and a
        kernel that is idle again and has answered nothing is ended.
        """
        self.stopping = True
        process, now = self._process(), time.monotonic()
        if process is None:
            return
        if hears_interrupt(process.pid) is False:
            self._deaf_since = self._deaf_since or now
            if self._asked_at and self._in_cell and now - self._deaf_since > _DROPPED_S:
                self.kill()
            return
        self._deaf_since = 0.0
        if not self._asked_at or now - self._asked_at > _AGAIN_S:
            self._asked_at = now
            self._signal(signal.SIGINT)

    def kill(self) -> None:
        """End the kernel and what shares its process group, at once."""
        self.stopping = True
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        # The process object, not a remembered pid: a finished process is never signalled.
        process = self._process()
        if process is None or process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)

    def _process(self) -> Any:
        return getattr(getattr(self._kernel, "provisioner", None), "process", None)

    def start_kernel(self) -> AsyncKernelManager:
        """A manager for a kernel of this very Python, not started yet."""
        connection = self._scratch / "kernel.json"
        short = len(str(connection)) < _SOCKET_PATH_LIMIT
        kernel = _Kernel(
            connection_file=str(connection), transport="ipc" if short else "tcp", shutdown_wait_time=_SHUTDOWN_S
        )
        self._kernel = kernel
        return kernel

    def environment(self) -> dict[str, str]:
        """Environment of the kernel: headless, and with an IPython profile of its own."""
        return os.environ | {"SEATRIAL_HEADLESS": "1", "IPYTHONDIR": str(self._scratch / "ipython")}

    def kernel_log(self) -> Path:
        """Where the kernel's own standard error goes: what it says when it dies."""
        return self._scratch / "kernel.log"

    def starts(self, cell: Any, cell_index: int) -> None:  # noqa: ARG002 -- nbclient names them
        """Before each code cell: stop here when asked to, else tell how far it is."""
        if self.stopping:
            raise Interruption
        self.cell = cell
        self.kernel_pid = getattr(self._process(), "pid", None)
        self._code_cells += 1
        self._in_cell = True
        self.on_cell(str(cell.get("id", "")), self._code_cells)

    def ends(self, **_: Any) -> None:
        """After each code cell: save, so that nothing is lost whatever comes next."""
        self._in_cell = False
        self._save()

    def add_death(self) -> Any:
        """Show the kernel's death as the error of the cell it happened in, and return that cell."""
        lines = _tail(self.kernel_log())
        message = "The notebook's kernel died." + (f" Its last words: {lines}" if lines else "")
        output = nbformat.v4.new_output("error", ename="KernelDied", evalue=message, traceback=[message])  # type: ignore[no-untyped-call]
        self.cell.outputs.append(output)
        return self.cell

    def _save(self) -> None:
        if self.notebook is not None:
            text = nbformat.writes(self.notebook)  # type: ignore[no-untyped-call]
            write_text(self.target, masked(text, self._secrets()) + "\n")

    def _secrets(self) -> set[str]:
        """What must not be kept: secrets of this environment, and the keys of servers seen so far."""
        self._keys.update(server_keys())
        return {*secrets_of(), *self._keys}

    def _mark_unfinished(self) -> None:
        """Undo papermill's claim that cells which never ran are completed."""
        for cell in self.notebook.cells if self.notebook is not None else ():
            state = cell.metadata.get("papermill", {})
            if cell.cell_type == "code" and cell.execution_count is None and state.get("status") == "completed":
                state["status"] = "pending"
                self.notebook.metadata.papermill["exception"] = True

    def _cell_id(self) -> str | None:
        return None if self.cell is None else str(self.cell.get("id", ""))

    def _failure(self, error: PapermillExecutionError) -> NotebookFailure:
        kind = getattr(errors, str(error.ename), None)
        known = isinstance(kind, type) and issubclass(kind, errors.SeatrialError)
        exit_code = kind.exit_code if known and kind is not None else errors.SeatrialError.exit_code
        message = masked(_ANSI.sub("", str(error.evalue)).strip(), self._secrets())
        return NotebookFailure(str(error.ename), message, self._cell_id(), exit_code)


class _Kernel(AsyncKernelManager):
    """Starts the kernel of this very Python, whatever is registered on this machine."""

    @property
    def kernel_spec(self) -> KernelSpec:
        arguments = ["-m", "ipykernel_launcher", "-f", "{connection_file}", "--HistoryManager.enabled=False"]
        return KernelSpec(argv=[sys.executable, *arguments], display_name="Python 3", language="python")

    async def _async_interrupt_kernel(self) -> None:
        """Shut down without an interrupt: no cell runs by then, and the two would race for seconds."""


class _Papermill(Engine):  # type: ignore[misc]
    """papermill's hook: an engine that knows which execution it belongs to."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, *, execution: Execution, **_: Any) -> None:
        execution.notebook = nb_man.nb
        nb_man.execution = execution
        client = PapermillNotebookClient(
            nb_man,
            km=execution.start_kernel(),
            kernel_name=kernel_name,
            timeout=None,
            startup_timeout=60,
            store_widget_state=False,  # a stored figure widget takes 5 MB
            on_cell_execute=execution.starts,
            on_cell_executed=execution.ends,
        )
        if execution.stopping:
            raise Interruption
        with execution.kernel_log().open("wb") as log:
            try:
                client.execute(env=execution.environment(), stderr=log, stdout=log, cleanup_kc=True)
            except DeadKernelError:
                if execution.cell is None:
                    raise
                if execution.stopping:
                    raise Interruption from None
                nb_man.cell_exception(execution.add_death())


def _literal(path: Path) -> str:
    """``path`` as papermill takes it: it fills in ``{name}`` otherwise."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _tail(log: Path) -> str:
    if not log.exists():
        return ""
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-_EVIDENCE_LINES:])
