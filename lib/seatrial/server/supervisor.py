"""Supervises one engine: starts it, watches its lease, stops all of it, records its end.

It runs as a detached process of its own, ``python -I -S supervisor.py SERVER_FOLDER``, and imports only the standard
library, so that it stays small and outlives the notebook kernel that launched the engine. The folder is its only
interface:

    record.json    what to start, whose lease it is (written by ``launch``); once it is deleted, or is that of a later
                   launch, nobody finds the server any more, and the engine is stopped; a damaged one is written again
                   at once, and kept as record.json.damaged
    process.json   written here: who runs, and how it ended
    stop           appears when somebody wants the engine stopped
    engine.log     the engine's output; past its cap the tail moves to engine.log.1

If the supervisor is killed, a shell in the engine's session (``lease.sh``) keeps the lease. Once that is over, it runs
``supervisor.py --end REASON``, which ends what is left of the session and records it.

It runs on Linux and macOS. The rest of the kit uses its functions that tell one process from another.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import re
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

POLL_S = 0.15  # also the longest a lease outlives its owner; the end of a child wakes the supervisor at once
LONGEST_POLL_S = 1.0
ENDING_S = 1.0
COMMAND_S = 10.0
GRACE_S = 3.0
OOM_PERIOD_S = 60.0
LOST = "lost"
SHELL, LEASE_FD = "/bin/sh", 9
TO_DEFAULT = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MACOS_IDENTITY_S = 2.0  # `ps` costs milliseconds there; in between a bare signal 0 will do
PR_SET_CHILD_SUBREAPER = 36
PROC = Path("/proc")
HAS_PROC = (PROC / "self" / "stat").exists()
COPY_BYTES = 1 << 16
SHORTEST_SECRET, LONGEST_SECRET = 8, 4096  # bytes: shorter ones are words, longer ones no keys


class Row(NamedTuple):
    """One line of the process table."""

    pid: int
    parent: int
    group: int
    session: int
    state: str
    start: str
    threads: int = 1

    @property
    def gone(self) -> bool:
        """True if all its threads have ended: if only the first has, the others still hold the port."""
        return self.state[0] in "ZX" and self.threads <= 1


# Telling processes apart


def process_row(pid: int) -> Row | None:
    """Return the process with this id, None if there is none.

    ``start`` with ``pid`` identifies a process for as long as the machine is up: a recycled pid has another start.
    On Linux it is the kernel's own tick count, which no clock change moves.
    """
    if not HAS_PROC:
        return next(_ps_rows(pid), None)
    try:
        stat = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The name in parentheses may itself hold parentheses and spaces.
    fields = stat.rpartition(")")[2].split()
    return Row(pid, int(fields[1]), int(fields[2]), int(fields[3]), fields[0], fields[19], int(fields[17]))


def process_table() -> list[Row]:
    """Return every process this user can see."""
    if not HAS_PROC:
        return list(_ps_rows())
    pids = (int(name) for name in os.listdir(PROC) if name.isdigit())  # noqa: PTH208 -- only names, quickly
    return [row for row in map(process_row, pids) if row is not None]


def start_of(pid: int) -> str | None:
    """Return when this process started, None if it is gone or only waits to be reaped."""
    row = process_row(pid)
    return None if row is None or row.state[0] in "ZX" else row.start


def may_live(identity: dict[str, Any]) -> bool:
    """Return False if this process is gone or another one; True if it runs, and if `ps` tells nothing about its number."""
    row = process_row(identity["pid"])
    return row is None or (row.state[0] not in "ZX" and row.start == identity["start"])


def boot_id() -> str:
    """Return the id of this boot of this machine and of the pid namespace: pids of another one mean nothing."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    with contextlib.suppress(OSError):
        return _output("sysctl", "-n", "kern.bootsessionuuid").strip() or f"unknown {os.uname().nodename}"
    return f"unknown {os.uname().nodename}"  # a container without these files


def _ps_rows(pid: int | None = None) -> Iterator[Row]:
    columns = "pid=,ppid=,pgid=,stat=,lstart="
    chosen = ["-ax"] if pid is None else ["-p", str(pid)]
    for line in _output("ps", *chosen, "-o", columns).splitlines():
        number, parent, group, state, start = line.split(maxsplit=4)
        try:
            session = os.getsid(int(number))
        except OSError:
            session = 0
        yield Row(int(number), int(parent), int(group), session, state, start.strip())


def _output(*argv: str) -> str:
    import subprocess

    # lstart is local time: a fixed zone keeps it comparable between processes.
    env = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    with contextlib.suppress(subprocess.TimeoutExpired):
        return subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=COMMAND_S).stdout
    return ""


# Counting out-of-memory kills


def oom_kills(cgroups: Path = Path("/sys/fs/cgroup"), proc: Path = PROC) -> dict[str, int]:
    """Return the out-of-memory kills so far: of our control group (v2 or v1), and of the machine."""
    counts = {}
    for where, path in _oom_counters(cgroups, proc):
        with contextlib.suppress(OSError, ValueError):
            match = re.search(r"^oom_kill (\d+)$", path.read_text(), re.MULTILINE)
            if match:
                counts[where] = int(match[1])
    return counts


class OomCounts:
    """Out-of-memory kills of the last minute or two: an earlier one did not end an engine that still runs.

    Args:
        now: Monotonic clock.
        count: Returns the kills so far.

    """

    def __init__(self, now: float, count: Callable[[], dict[str, int]] = oom_kills) -> None:
        self.count, self.looked = count, now
        self.earlier = self.before = count()

    def look(self, now: float) -> None:
        """Count again if a minute has passed."""
        if now - self.looked >= OOM_PERIOD_S:
            self.earlier, self.before, self.looked = self.before, self.count(), now

    def latest(self) -> dict[str, int]:
        """Return the kills since the look before the last one."""
        return {where: count - self.earlier.get(where, count) for where, count in self.count().items()}


def _oom_counters(cgroups: Path, proc: Path) -> Iterator[tuple[str, Path]]:
    yield "machine", proc / "vmstat"
    with contextlib.suppress(OSError):
        for line in (proc / "self" / "cgroup").read_text().splitlines():
            _, controllers, inside = line.split(":", 2)
            if controllers == "":
                yield "cgroup", cgroups / inside.lstrip("/") / "memory.events"
            elif "memory" in controllers.split(","):
                yield "cgroup", cgroups / "memory" / inside.lstrip("/") / "memory.oom_control"


# Ending processes


def end_process(row: Row, number: int) -> None:
    """Send a signal to exactly this process, and wake it if it is stopped."""
    with contextlib.suppress(ProcessLookupError):
        now = process_row(row.pid)  # not ``start_of``: of a zombie other threads may live
        if now is not None and now.start == row.start:
            os.kill(row.pid, number)
            os.kill(row.pid, signal.SIGCONT)  # a stopped process receives nothing else


def orphans(launch_id: str) -> list[Row]:
    """Return the living processes of this session and of this launch, without this process."""
    mine, session, mark = os.getpid(), os.getsid(0), f"SEATRIAL_LAUNCH_ID={launch_id}".encode()
    rows = (row for row in process_table() if row.pid not in {1, mine} and not row.gone)
    return [row for row in rows if row.session == session or mark in _environment(row.pid)]


def _environment(pid: int) -> list[bytes]:
    with contextlib.suppress(OSError):
        return (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    return []


def end_orphans(reason: str) -> None:
    """End what is left of a launch whose supervisor was killed, and record its end; runs in the engine's session."""
    launch_id = os.environ["SEATRIAL_LAUNCH_ID"]
    kill_from = time.monotonic() + GRACE_S
    asked: set[int] = set()
    while left := orphans(launch_id):
        late = time.monotonic() > kill_from
        for row in left:
            if late or row.pid not in asked:
                asked.add(row.pid)
                end_process(row, signal.SIGKILL if late else signal.SIGTERM)
        if time.monotonic() > kill_from + GRACE_S:
            return  # they wait for a device: nothing is proven
        time.sleep(POLL_S / 4)
    if reason == LOST:
        return  # nobody knows how it ended: whoever launched it, or finds it, says so
    with contextlib.suppress(OSError):
        found = _read_record(Path("record.json"))
        if found is not None and found["launch_id"] != launch_id:
            return  # a later launch has the folder
    with contextlib.suppress(OSError, ValueError, KeyError):  # no folder any more, or a damaged record of who ran
        _remove_keys()
        state = json.loads(Path("process.json").read_text())
        if state["launch_id"] == launch_id and not state["finished"]:
            ended = state["exit"] or _exit(reason)
            _write_json("process.json", {**state, "exit": ended, "finished": True})


# Supervising


class Supervisor:
    """One engine, from its start to the last process of its group.

    Args:
        folder: The server folder; becomes the working directory of supervisor and engine.

    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record: dict[str, Any] = json.loads((folder / "record.json").read_text())
        self.state: dict[str, Any] = {
            "launch_id": self.record["launch_id"],
            "boot_id": boot_id(),
            "session": os.getsid(0),
            "supervisor": _identity(os.getpid()),
            "engine": None,
            "exit": None,
            "finished": False,
        }
        self.wake, wake_write = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.asked = False
        for asking in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(asking, self._ask)
        self.log = self.masking = -1
        self.masked = 0
        self.secrets: list[bytes] = []
        self.ended: int | None = None
        self.owner_checked = 0.0
        self.oom_counts = OomCounts(time.monotonic())
        self.record_seen = (0, 0, 0)

    def run(self) -> None:
        """Start the engine and return when nothing of it is left."""
        if os.environ.get("SEATRIAL_LAUNCH_ID") != self.record["launch_id"]:
            return  # came up so late that another launch has the folder by now
        if self.asked or Path("stop").exists():
            self._note_exit("stopped")
            self._finish()
            return
        self._write_state()
        lease = self._start_lease()
        try:
            engine = self._start_engine()
        except OSError as error:
            self._note_exit("not started", error=f"{error.strerror}: {self.record['argv'][0]}")
            self._stop(0)
            self._finish()
            return
        self.state["engine"] = _identity(engine)
        try:
            os.write(lease, f"{engine} {self.state['engine']['start']}\n".encode())
            self._write_state()
            reason = self._watch(engine)
        except BaseException:
            # Never leave an engine running that nobody could find again.
            self._stop(engine)
            raise
        if reason == "exited":
            # Written at once: whoever waits learns the cause before the engine's other processes are gone.
            self._note_exit(reason, oom_kills=self.oom_counts.latest())
            with contextlib.suppress(OSError):
                self._write_state()
        # The engine's own children end with it, however it ended.
        self._stop(engine)
        if reason != "exited":
            self._note_exit(reason)
        self._finish()

    def _ask(self, *_: object) -> None:
        self.asked = True

    def _start_lease(self) -> int:
        """Start the shell that keeps the lease if this process is killed; return the pipe that ends with this process."""
        read, write = os.pipe()
        own = fcntl.fcntl(read, fcntl.F_DUPFD_CLOEXEC, LEASE_FD + 1)  # to be copied onto LEASE_FD, so another number
        owner, keep = self.record["owner"], "1" if self.record["keep_running"] else "0"
        program = Path(__file__).absolute()
        env = {**os.environ, "SEATRIAL_LEASE_PYTHON": sys.executable, "SEATRIAL_LEASE_PROGRAM": str(program)}
        try:
            os.posix_spawn(
                SHELL,
                [SHELL, "-s", str(owner["pid"]), owner["start"], keep],
                env,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, str(program.with_name("lease.sh")), os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, own, LEASE_FD),
                ],
                setpgroup=0,
                setsigmask=(),
                setsigdef=TO_DEFAULT,
            )
        except OSError as error:  # the engine has its lease as long as this process lives
            sys.stderr.write(f"No lease beside this process: {SHELL}: {error.strerror}\n")
        os.close(own)
        os.set_blocking(write, False)
        return write  # the end for reading stays open here: writing never fails

    def _start_engine(self) -> int:
        argv = self.record["argv"]
        env = {**os.environ, **self.record["env"], "SEATRIAL_LAUNCH_ID": self.record["launch_id"]}
        key = (self.folder / "key").read_text().strip()
        if self.record["key_env"]:
            env[self.record["key_env"]] = key
        named = (env.get(name, "") for name in os.environ.get("SEATRIAL_MASKED", "").split(","))
        found = {value.strip().encode(errors="surrogateescape") for value in (key, *named)}
        self.secrets = [secret for secret in found if SHORTEST_SECRET <= len(secret) <= LONGEST_SECRET]
        # Open to the end: the log is capped even if somebody deletes its name.
        self.log = os.open("engine.log", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self.masking = os.open("engine.log", os.O_RDWR)  # the other descriptor can only append
        return os.posix_spawn(
            argv[0],
            argv,
            env,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, self.log, 1),
                (os.POSIX_SPAWN_DUP2, self.log, 2),
            ],
            setpgroup=0,
            setsigmask=(),
            setsigdef=TO_DEFAULT,
        )

    def _watch(self, engine: int) -> str:
        """Wait for a reason to end, and return it."""
        while True:
            reason = self._asked_to_end()
            self._reap(engine)
            if reason:
                self._let_it_end(engine)
            if self.ended is not None:
                return "exited"
            if reason:
                return reason
            self.oom_counts.look(time.monotonic())
            self._cap_log()
            self._write_again()
            self._wait(POLL_S)

    def _asked_to_end(self) -> str | None:
        if self.asked or Path("stop").exists():
            return "stopped"
        if not Path("record.json").exists() and not Path("record.json.unreadable").exists():
            return "record deleted"
        if self._is_taken_over():
            return "record deleted"
        if not self.record["keep_running"] and not self._owner_lives():
            return "lease ended"
        return None

    def _is_taken_over(self) -> bool:
        """Return True if a later launch has the folder: one on another machine, which cannot see this one."""
        with contextlib.suppress(OSError):  # deleted: not taken over
            now = Path("record.json").stat()
            if self.record_seen != (now.st_ino, now.st_mtime_ns, now.st_size):
                found = _read_record(Path("record.json"))
                if found is None:
                    Path("record.json").replace("record.json.unreadable")
                elif found["launch_id"] != self.record["launch_id"]:
                    return True
                elif found.get("keep_running") is True:  # somebody wants to keep it since
                    self.record["keep_running"] = True
                self.record_seen = (now.st_ino, now.st_mtime_ns, now.st_size)
        return False

    def _write_again(self) -> None:
        """Write files again that a reader found damaged and set aside: nobody finds the server without them."""
        with contextlib.suppress(OSError):  # a full disk: at the next look
            if not Path("process.json").exists():
                self._write_state()
            if Path("record.json.unreadable").exists() and not Path("record.json").exists():
                _write_json("record.json", self.record)
                # Out of the way, so that deleting the record ends the engine again.
                Path("record.json.unreadable").replace("record.json.damaged")

    def _let_it_end(self, engine: int) -> None:
        """Wait a moment for an engine whose first thread is gone: it crashed, and was not stopped."""
        until = time.monotonic() + ENDING_S
        while self.ended is None and start_of(engine) is None and time.monotonic() < until:
            self._wait(POLL_S / 4)
            self._reap(engine)

    def _wait(self, seconds: float) -> None:
        """Sleep, but wake at once when a child ends or a signal arrives."""
        if select.select([self.wake], [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                os.read(self.wake, 4096)

    def _reap(self, engine: int) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == engine:
                    self.ended = status

    def _owner_lives(self) -> bool:
        owner = self.record["owner"]
        if HAS_PROC:
            return bool(start_of(owner["pid"]) == owner["start"])
        try:
            os.kill(owner["pid"], 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        if time.monotonic() - self.owner_checked < MACOS_IDENTITY_S:
            return True
        self.owner_checked = time.monotonic()
        return may_live(owner)

    def _stop(self, engine: int) -> None:
        """End every process of the engine: TERM, then KILL after the grace period."""
        term_until = time.monotonic() + self.record["grace_s"]
        asked: set[int] = set()
        while members := self._members():
            past = time.monotonic() - term_until
            late = past > 0
            for row in members:
                if late or row.pid not in asked:
                    asked.add(row.pid)
                    end_process(row, signal.SIGKILL if late else signal.SIGTERM)
            # What waits for a device outlives even KILL, for hours perhaps: looked at ever more seldom.
            self._wait(min(LONGEST_POLL_S, max(POLL_S / 4, past / 10)))
            self._reap(engine)
        self._reap(engine)

    def _members(self) -> list[Row]:
        """Return the living processes that descend from the engine, whichever group or session they moved to."""
        table = {row.pid: row for row in process_table()}
        mine = os.getpid()

        def belongs(row: Row) -> bool:
            # This process leads the session, so nobody else gets its number. The system may reuse the number of an
            # engine's group once the engine has ended.
            if row.session == self.state["session"]:
                return True
            # Orphans become children of this process (subreaper), so the chain of parents leads here.
            seen = set()
            while row.parent in table and row.parent not in seen:
                if row.parent == mine:
                    return True
                seen.add(row.parent)
                row = table[row.parent]
            return False

        return [row for row in table.values() if row.pid > 1 and row.pid != mine and not row.gone and belongs(row)]

    def _cap_log(self) -> None:
        """Move the tail of a log past its cap aside and empty the log, without the engine noticing.

        The engine appends, so it goes on at the new end. Lines that it writes between copy and cut are lost.
        """
        cap = self.record["log_cap_bytes"]
        size = self._mask_log()
        if size <= cap:
            return
        aside = Path("engine.log.tmp")
        try:
            with _private(aside) as target:
                # Up to the size read above: a flood may be faster than the copy.
                for offset in range(size - cap, size, COPY_BYTES):
                    target.write(os.pread(self.log, COPY_BYTES, offset))
            aside.replace("engine.log.1")
        except OSError:
            aside.unlink(missing_ok=True)  # a full disk: the cap matters more than the tail
        os.ftruncate(self.log, 0)

    def _mask_log(self) -> int:
        """Overwrite secrets in the log, since some engines write their key or environment to it; return its size."""
        size = os.fstat(self.log).st_size
        overlap = max(map(len, self.secrets), default=1) - 1  # the last look may have ended inside a secret
        start = max(0, self.masked - overlap, size - 2 * self.record["log_cap_bytes"]) if size >= self.masked else 0
        while self.secrets and start < size and size != self.masked:
            block = os.pread(self.masking, min(COPY_BYTES, size - start), start)
            for secret in self.secrets:
                at = -1
                while (at := block.find(secret, at + 1)) >= 0:
                    with contextlib.suppress(OSError):  # a full disk that copies on write: readers mask it, too
                        os.pwrite(self.masking, b"*" * len(secret), start + at)
            if len(block) <= overlap or start + len(block) >= size:
                break
            start += len(block) - overlap
        self.masked = size
        return size

    def _note_exit(self, reason: str, *, error: str = "", oom_kills: dict[str, int] | None = None) -> None:
        self.state["exit"] = _exit(reason, self.ended, error, oom_kills)

    def _finish(self) -> None:
        """Remove the keys and record that nothing of the engine is left."""
        self.state["finished"] = True
        with contextlib.suppress(OSError):
            self._mask_log()
        if self._is_taken_over():
            return
        # A deleted folder, a full disk: readers see without this record that no process is left.
        with contextlib.suppress(OSError):
            _remove_keys()
        with contextlib.suppress(OSError):
            self._write_state()

    def _write_state(self) -> None:
        if self._is_taken_over():
            return
        _write_json("process.json", self.state)


def _exit(
    reason: str, status: int | None = None, error: str = "", oom_kills: dict[str, int] | None = None
) -> dict[str, Any]:
    return {
        "reason": reason,
        "code": os.WEXITSTATUS(status) if status is not None and os.WIFEXITED(status) else None,
        "signal": os.WTERMSIG(status) if status is not None and os.WIFSIGNALED(status) else None,
        "error": error,
        "oom_kills": oom_kills or {},
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _read_record(record: Path) -> dict[str, Any] | None:
    """Return a record that names its launch, None if it is damaged."""
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(record.read_text())
        return found if isinstance(found, dict) and isinstance(found.get("launch_id"), str) else None
    return None


def _remove_keys() -> None:
    for path in (Path("key"), *Path().glob("engine_key*")):
        path.unlink(missing_ok=True)


def _identity(pid: int) -> dict[str, Any]:
    return {"pid": pid, "start": start_of(pid) or ""}


def _write_json(name: str, value: dict[str, Any]) -> None:
    temporary = Path(f".{name}.tmp")
    with _private(temporary) as file:
        file.write(json.dumps(value, indent=2).encode())
    temporary.replace(name)


def _private(path: Path) -> Any:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def _adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def main() -> None:
    """Detach from the launching process, then supervise; with ``--end`` end what is left instead."""
    if sys.argv[1] == "--end":
        end_orphans(sys.argv[2])
        return
    folder = Path(sys.argv[1])
    os.chdir(folder)
    if os.fork():
        os._exit(0)
    os.setsid()
    # A crashing engine of hundreds of GiB must not fill the disk with its core.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    _adopt_orphans()
    Supervisor(folder).run()


if __name__ == "__main__":
    main()
