"""Kernel of one notebook: this very Python's own, over a Unix socket, and surely gone when it must be."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from seatrial.batch.signals import hears_interrupt

_AGAIN_S = 2.0
"""A cell that still runs so long after an interrupt gets another one."""
_DROPPED_S = 1.0
"""A kernel that ignores interrupts for so long after one, and has not ended its cell, has dropped the request."""
_SHUTDOWN_S = 1.2
"""ipykernel hangs in its exit one time in four; it gets SIGTERM after half of this, SIGKILL after all of it.
Nothing is lost: every cell is done by then, and an engine it launched is stopped by its own supervisor."""
_SOCKET_PATH_LIMIT = 90
"""Unix socket paths end at 104 characters on macOS; the kernel appends to ours."""
_LAST_LINES = 6


@dataclass(slots=True)
class Kernel:
    """One kernel, before, while and after it runs."""

    scratch: Path = field(default_factory=Path)  # folder for its socket, profile and log
    in_cell: bool = False
    _manager: Any = None
    _interrupted_at: float = 0.0
    _deaf_since: float = 0.0

    def manager(self) -> AsyncKernelManager:
        """Return a manager that will start the kernel."""
        connection = str(self.scratch / "kernel.json")
        transport = "ipc" if len(connection) < _SOCKET_PATH_LIMIT else "tcp"
        self._manager = _Manager(connection_file=connection, transport=transport, shutdown_wait_time=_SHUTDOWN_S)
        return self._manager  # type: ignore[no-any-return]

    @property
    def environment(self) -> dict[str, str]:
        """Environment of the kernel: headless, and with an IPython profile of its own."""
        return os.environ | {"SEATRIAL_HEADLESS": "1", "IPYTHONDIR": str(self.scratch / "ipython")}

    @property
    def log(self) -> Path:
        """File with the kernel's own output."""
        return self.scratch / "kernel.log"

    @property
    def pid(self) -> int | None:
        """Process that runs the cells, None before it starts."""
        return getattr(self._process, "pid", None)

    def last_words(self) -> str:
        """Return the last lines of the kernel's own output, joined."""
        if not self.log.exists():
            return ""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return " | ".join([line for line in lines if line.strip()][-_LAST_LINES:])

    def interrupt(self) -> None:
        """Stop the running cell as Ctrl-C would; to be called again and again until the notebook has ended.

        ipykernel ignores SIGINT between cells, and drops the entire request if the signal comes just as it takes up a
        cell. So the signal waits until the kernel listens, and is sent again if the cell goes on. A kernel that is idle
        again and has answered nothing is killed.
        """
        process, now = self._process, time.monotonic()
        if process is None:
            return
        if hears_interrupt(process.pid) is False:
            self._deaf_since = self._deaf_since or now
            if self._interrupted_at and self.in_cell and now - self._deaf_since > _DROPPED_S:
                self.kill()
            return
        self._deaf_since = 0.0
        if not self._interrupted_at or now - self._interrupted_at > _AGAIN_S:
            self._interrupted_at = now
            if process.poll() is None:
                process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End the kernel and its process group at once."""
        process = self._process
        if process is not None and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    @property
    def _process(self) -> Any:
        # The process object, not a remembered pid: a finished process is never signalled.
        return getattr(getattr(self._manager, "provisioner", None), "process", None)


class _Manager(AsyncKernelManager):
    """Starts the kernel of this very Python, whatever is registered on this machine."""

    @property
    def kernel_spec(self) -> KernelSpec:
        arguments = ["-m", "ipykernel_launcher", "-f", "{connection_file}", "--HistoryManager.enabled=False"]
        return KernelSpec(argv=[sys.executable, *arguments], display_name="Python 3", language="python")

    async def _async_interrupt_kernel(self) -> None:
        """Shut down without an interrupt: no cell runs by then, and the two would race for seconds."""
