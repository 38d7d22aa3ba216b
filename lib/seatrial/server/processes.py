"""Tells our processes and sockets from others': only a process that is ours by identity is ever signalled."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import psutil

from seatrial.server import supervisor
from seatrial.server.state import Identity, Processes

LOOPBACK = "127.0.0.1"
_GONE = (psutil.Error, OSError)
_CONNECT_S = 0.5
_NET = Path("/proc/net")
_LISTENING = "0A"  # state of a socket in these tables
_COMPILERS = frozenset(
    {
        *("nvcc", "cicc", "ptxas", "cudafe++", "fatbinary", "nvlink", "hipcc", "amdclang", "amdclang++"),
        *("ninja", "make", "cmake", "cc", "c++", "gcc", "g++", "cc1", "cc1plus", "clang", "clang++", "ld", "lld", "as"),
    }
)
"""Programs that engines start to compile kernels: while one of them works, the engine makes progress."""


@cache
def this_boot() -> str:
    """Return the id of this boot of this machine."""
    return supervisor.boot_id()


def myself() -> Identity:
    """Return the identity of this process."""
    return Identity(os.getpid(), supervisor.start_of(os.getpid()) or "")


def lives(identity: Identity | None, boot: str | None = None) -> bool:
    """Return True if exactly this process still runs: same pid, same start, same boot."""
    if identity is None or (boot is not None and boot != this_boot()):
        return False
    return supervisor.start_of(identity.pid) == identity.start


def kill(identity: Identity) -> None:
    """End exactly this process at once; one that has ended is fine."""
    with contextlib.suppress(ProcessLookupError):
        if lives(identity):
            os.kill(identity.pid, signal.SIGKILL)


def members(processes: Processes | None, launch_id: str, *, thorough: bool = True) -> list[psutil.Process]:
    """Return the living processes of a launch, without its supervisor.

    A process belongs to the launch if it is in the supervisor's session, or if its environment carries the launch's
    random id (it may have moved to a session of its own).

    Args:
        processes: The supervisor's record, None if that is lost.
        launch_id: The launch's random id.
        thorough: Also read environments; costs some milliseconds.

    """
    session = _session(processes, launch_id)
    started_by = processes.supervisor if processes else None
    found = []
    for pid in psutil.pids():
        if pid in (0, os.getpid(), started_by.pid if started_by else None):
            continue
        with contextlib.suppress(*_GONE):
            process = psutil.Process(pid)  # first: from now on psutil signals no other process that gets this number
            inside = session is not None and os.getsid(pid) == session
            inside = inside or (thorough and _carries(process, launch_id))
            # If only the first thread has ended, the others still hold the port.
            if inside and (process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1):
                found.append(process)
    return found


def _carries(process: psutil.Process, launch_id: str) -> bool:
    """Return True if the environment a process was started with holds the launch's random id."""
    return process.uids().real == os.getuid() and process.environ().get("SEATRIAL_LAUNCH_ID") == launch_id


def _session(processes: Processes | None, launch_id: str) -> int | None:
    """Return the session of a launch, None if it is unknown or its number may be another's by now.

    Older records hold 0 for an unknown session; the system gives 0 for the kernel's processes, too, and for those of a
    session outside this container. A session has the number of its leader, the supervisor. The system gives that number
    to another process once nothing of the session is left.
    """
    if processes is None or processes.boot_id != this_boot() or not processes.session or not processes.supervisor:
        return None
    leader = supervisor.process_row(processes.session)
    if leader is not None:
        return processes.session if Identity(leader.pid, leader.start) == processes.supervisor else None
    return processes.session if not processes.finished and _is_still_ours(processes, launch_id) else None


def _is_still_ours(processes: Processes, launch_id: str) -> bool:
    """Return True if a session without its leader still holds a process of this launch.

    An engine that writes its title over its environment no longer carries the id. The processes in the engine's group
    are its own as long as nobody else has that number.
    """
    engine = processes.engine
    first = supervisor.process_row(engine.pid) if engine else None
    for row in supervisor.process_table():
        if row.session != processes.session:
            continue
        if engine and row.group == engine.pid and (first is None or first.start == engine.start):
            return True
        with contextlib.suppress(*_GONE):
            if _carries(psutil.Process(row.pid), launch_id):
                return True
    return False


def end(processes: Processes | None, launch_id: str, *, grace_s: float) -> None:
    """End the processes of a launch without its supervisor: TERM, then KILL, then give up."""
    kill_from = time.monotonic() + grace_s
    give_up = kill_from + grace_s
    asked: set[int] = set()
    while left := members(processes, launch_id):
        late = time.monotonic() > kill_from
        if time.monotonic() > give_up:
            return
        for process in left:
            if late or process.pid not in asked:
                asked.add(process.pid)
                with contextlib.suppress(*_GONE):
                    process.send_signal(signal.SIGKILL if late else signal.SIGTERM)
                    process.send_signal(signal.SIGCONT)  # a stopped process receives nothing else
        time.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Activity:
    """Resources a starting engine has used so far; growth is progress."""

    memory_bytes: int  # resident, of all its processes
    read_bytes: int  # from disk, 0 if the system does not count it
    cpu_s: float  # of all its processes
    gpu_bytes: int  # in use on all GPUs, 0 if unknown
    compilers: frozenset[int]  # pids of those of its processes that compile


def activity(of: list[psutil.Process], gpu_bytes: int = 0) -> Activity:
    """Return the resources that an engine's processes use."""
    memory = read = 0
    cpu = 0.0
    compilers = set()
    for process in of:
        with contextlib.suppress(*_GONE, AttributeError):
            if process.name() in _COMPILERS:
                compilers.add(process.pid)
            memory += process.memory_info().rss
            times = process.cpu_times()
            cpu += times.user + times.system
            read += process.io_counters().read_bytes  # not on macOS
    return Activity(memory, read, cpu, gpu_bytes, frozenset(compilers))


def plain(address: str) -> IPv4Address | IPv6Address:
    """Return an address as an object; an IPv4 one written as IPv6 becomes IPv4."""
    one = ip_address(address.partition("%")[0])
    mapped = one.ipv4_mapped if isinstance(one, IPv6Address) else None
    return mapped or one


def meets(listening: str, address: str) -> bool:
    """Return True if a socket that listens on one address keeps others from another, or gets what is sent there."""
    one, other = plain(listening), plain(address)
    pairs = ((one, other), (other, one))
    return one == other or any(wide.is_unspecified and wide.version >= narrow.version for wide, narrow in pairs)


def port_listeners(port: int, of: list[psutil.Process]) -> list[tuple[str, bool]]:
    """Return the address of each socket that listens on a port, and True if one of these processes holds it."""
    sockets = _listening_sockets(port)
    if sockets is None:
        pids = {process.pid for process in of}
        return [(address, pid in pids) for address, pid in listeners(port)]
    own = {inode for process in of for inode in _sockets_of(process.pid)} if sockets else set()
    return [(address, inode in own) for inode, address in sockets.items()]


def _listening_sockets(port: int) -> dict[str, str] | None:
    """Return the address of each socket that listens on a port, by inode; None if that is unreadable (macOS).

    psutil would read these tables once for each process, of which an engine with many ranks has dozens.
    """
    found = {}
    for table in (_NET / "tcp", _NET / "tcp6"):
        try:
            rows = [line.split() for line in table.read_text().splitlines()[1:]]
        except OSError:
            if table.name == "tcp":
                return None
            continue  # no IPv6
        for _, local, _, state, *rest in rows:
            address, _, number = local.partition(":")
            if state == _LISTENING and int(number, 16) == port:
                found[rest[5]] = _address(address)
    return found


def _address(text: str) -> str:
    """Return an address from the form of the kernel's tables: words of four bytes, each in the machine's own order."""
    words = (int(text[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(text), 8))
    return str(ip_address(b"".join(words)))


def _sockets_of(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                kind, _, inode = str(entry.readlink()).partition(":")
                if kind == "socket":
                    yield inode.strip("[]")


def accepts_connections(port: int, host: str = LOOPBACK) -> bool:
    """Return True if anybody accepts a connection on a port; takes a fraction of a millisecond.

    The system's tables of sockets take a hundred times as long to read. The connection's own end is bound first:
    if the system put it on the very port it connects to, it would answer itself.
    """
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        probe.settimeout(_CONNECT_S)
        with contextlib.suppress(OSError):
            probe.bind((host, 0))
            return probe.getsockname()[1] != port and probe.connect_ex((host, port)) == 0
    return False


def listeners(port: int) -> list[tuple[str, int | None]]:
    """Return address and pid of each socket that listens on a port; empty if the system does not tell."""
    with contextlib.suppress(*_GONE):
        found = [connection for connection in psutil.net_connections("tcp") if _listening(connection, port)]
        return [(str(connection.laddr.ip), connection.pid) for connection in found if connection.laddr]
    return []


def _listening(connection: Any, port: int) -> bool:
    # laddr is (address, port), or empty for a socket that is not bound.
    return bool(connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,))


def port_owner(port: int, host: str = LOOPBACK) -> tuple[int | None, str]:
    """Return pid and name of the process that listens on a port of an address; ``(None, "another process")`` if unknown."""
    for address, pid in listeners(port):
        with contextlib.suppress(*_GONE):
            if pid is not None and meets(address, host):
                return pid, psutil.Process(pid).name()
    return None, "another process"


def port_is_free(port: int, host: str = LOOPBACK) -> bool:
    """Return True if a server could listen on this port of an address now.

    Raises:
        PermissionError: If this user may not use the port at all.

    """
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        # As servers do: lingering connections of an earlier server do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))  # without listening, which would get in a server's way
        except OSError as error:
            if error.errno == errno.EACCES:
                raise
            return False
    return True


def free_port(host: str = LOOPBACK) -> int:
    """Return a port of an address on which nobody listens at this moment."""
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
