"""Runs one notebook from top to bottom in a fresh kernel, and saves it after each cell.

papermill executes the cells. A kernel that dies or is interrupted shows as the error of the cell it happened in.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from jupyter_core.utils import ensure_event_loop
from nbclient.exceptions import DeadKernelError
from papermill import execute_notebook
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from seatrial import errors
from seatrial.batch.kernel import Kernel
from seatrial.batch.outputs import Outputs
from seatrial.batch.sources import Source
from seatrial.batch.types import NotebookFailure, ParameterValue, Status
from seatrial.printable import shortened
from seatrial.secret_text import masked, secrets_of
from seatrial.server.folder import server_keys
from seatrial.writing import open_own, write_text

_ENGINE = "seatrial"
_MOST_MESSAGE = 2000  # characters of an error; the executed notebook has all of it
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_HALF = re.compile("[\ud800-\udfff]")
"""Half a character, which no UTF-8 file can have."""


class Interruption(Exception):  # noqa: N818 -- asked for, so no error
    """Ends the cell loop of a notebook that is asked to stop; never shown."""


@dataclass(slots=True)
class Execution:
    """One notebook while it runs."""

    source: Source
    target: Path  # file of the executed notebook
    parameters: Mapping[str, ParameterValue]
    on_cell: Callable[[str, int], None]  # called with the id and the place (from 1) of each code cell that starts
    kernel_pid: int | None = None  # None before the first cell
    outputs: Outputs = field(default_factory=Outputs)  # bounds of its outputs, and what was left out
    saved: bool = False  # the executed notebook is written
    _kernel: Kernel = field(default_factory=Kernel)
    _notebook: Any = None
    _cell: Any = None
    _code_cells: int = 0
    _stopping: bool = False
    _keys: set[str] = field(default_factory=set)

    def run(self) -> tuple[Status, NotebookFailure | None]:
        """Execute the notebook, save it, and return how it ended.

        Raises:
            UsageError: If the executed notebook cannot be written.

        """
        failure = self._execute()
        status: Status = "completed" if failure is None else "failed"
        if self._stopping:
            status = "interrupted"
            failure = NotebookFailure("Interrupted", "interrupted", self._cell_id(), errors.INTERRUPTED)
        if status != "completed":
            self._mark_unfinished()
        self._save()
        return status, failure

    def interrupt(self) -> None:
        """Run no further cell and interrupt the running one; to be called again until the notebook has ended."""
        self._stopping = True
        self._kernel.interrupt()

    def kill(self) -> None:
        """Run no further cell and kill the kernel."""
        self._stopping = True
        self._kernel.kill()

    def execute_cells(self, papermill: Any, kernel_name: str) -> None:
        """Run the notebook that papermill has prepared."""
        self._notebook = papermill.nb
        self._notebook.metadata.papermill["input_path"] = str(self.source.path)  # not the copy that is executed
        client = _Client(
            papermill,
            km=self._kernel.manager(),
            kernel_name=kernel_name,
            timeout=None,
            startup_timeout=60,
            store_widget_state=False,  # a stored figure widget takes 5 MB
            on_cell_execute=self._begin_cell,
            on_cell_executed=self._end_cell,
        )
        client.admitted = self.outputs
        if self._stopping:
            raise Interruption
        with open_own(self._kernel.log) as log:
            try:
                client.execute(env=self._kernel.environment, stderr=log, stdout=log, cleanup_kc=True)
            except DeadKernelError:
                if self._cell is None:
                    raise
                if self._stopping:
                    raise Interruption from None
                self._add_death()
                papermill.cell_exception(self._cell)

    def _execute(self) -> NotebookFailure | None:
        papermill_engines.register(_ENGINE, _Papermill)
        with tempfile.TemporaryDirectory(prefix="seatrial-") as scratch:
            self._kernel.scratch = Path(scratch)
            copy = self._kernel.scratch / "notebook.ipynb"
            write_text(copy, nbformat.writes(self.source.notebook))  # type: ignore[no-untyped-call]
            try:
                execute_notebook(
                    str(copy),
                    None,
                    parameters=dict(self.parameters),
                    engine_name=_ENGINE,
                    kernel_name="python3",
                    language="python",
                    progress_bar=False,
                    execution=self,
                )
            except PapermillExecutionError as error:
                kind = getattr(errors, str(error.ename), errors.SeatrialError)
                ours = isinstance(kind, type) and issubclass(kind, errors.SeatrialError)
                exit_code = kind.exit_code if ours else errors.SeatrialError.exit_code
                return self._failure(str(error.ename), _ANSI.sub("", str(error.evalue)), exit_code)
            except Interruption:
                return None  # self._stopping says so
            except errors.SeatrialError:  # nothing can be written
                raise
            except Exception as error:  # noqa: BLE001 -- whatever papermill stumbles over ends this notebook only
                if self._cell is not None:
                    return self._failure(type(error).__name__, str(error), errors.SeatrialError.exit_code)
                message = f"The notebook's kernel did not start: {error} {self._kernel.last_words()}"
                return self._failure("KernelDied", message, errors.SeatrialError.exit_code)
            finally:
                ensure_event_loop().close()  # jupyter_core makes one for each thread and leaves it open
        return None

    def _begin_cell(self, cell: Any, **_: Any) -> None:
        if self._stopping:
            raise Interruption
        self._cell = cell
        self._code_cells += 1
        self.kernel_pid = self._kernel.pid
        self._kernel.in_cell = True
        self.on_cell(str(cell.get("id", "")), self._code_cells)

    def _end_cell(self, **_: Any) -> None:
        self._kernel.in_cell = False
        self._save()

    def _add_death(self) -> None:
        """Show the kernel's death as the error of the cell it happened in."""
        lines = self._kernel.last_words()
        message = "The notebook's kernel died." + (f" Its last words: {lines}" if lines else "")
        output = nbformat.v4.new_output("error", ename="KernelDied", evalue=message, traceback=[message])  # type: ignore[no-untyped-call]
        self._cell.outputs.append(output)

    def _save(self) -> None:
        if self._notebook is not None:
            text = _HALF.sub("\ufffd", nbformat.writes(self._notebook))  # type: ignore[no-untyped-call]
            write_text(self.target, self._masked(text) + "\n")
            self.saved = True

    def _masked(self, text: str) -> str:
        """Return a text without the environment's secrets and the keys of servers seen so far."""
        self._keys.update(server_keys())
        return masked(text, {*secrets_of(), *self._keys})

    def _mark_unfinished(self) -> None:
        """Undo papermill's claim that cells which never ran are completed."""
        for cell in self._notebook.cells if self._notebook is not None else ():
            state = cell.metadata.get("papermill", {})
            if cell.cell_type == "code" and cell.execution_count is None and state.get("status") == "completed":
                state["status"] = "pending"
                self._notebook.metadata.papermill["exception"] = True

    def _cell_id(self) -> str | None:
        return None if self._cell is None else str(self._cell.get("id", ""))

    def _failure(self, kind: str, message: str, exit_code: int) -> NotebookFailure:
        kind = shortened(kind)
        # A class may fail to form its text, or form one that no message to the notebook can carry (half a character).
        text = shortened(self._masked(message.strip()), _MOST_MESSAGE) or f"{kind}, without a text that can be shown"
        return NotebookFailure(kind, text, self._cell_id(), exit_code)


class _Client(PapermillNotebookClient):  # type: ignore[misc]
    """papermill's client, with outputs within bounds."""

    admitted: Outputs

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        bounded = self.admitted.bounded(msg, str(cell.get("id", cell_index)))
        return super().process_message(bounded, cell, cell_index)


class _Papermill(Engine):  # type: ignore[misc]
    """papermill's hook: an engine that knows which execution it belongs to."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, *, execution: Execution, **_: Any) -> None:
        execution.execute_cells(nb_man, kernel_name)
