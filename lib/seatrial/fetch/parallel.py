"""Works on four files of a checkpoint at once; Ctrl-C and the failure of one file keep what is complete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, as_completed

from seatrial.catalog.remote_file import RemoteFile
from seatrial.errors import ModelFileError, SeatrialError
from seatrial.fetch.progress import FetchProgress, StoppedError

AT_ONCE = 4
"""One connection to a hub's store seldom fills the line; more than a few, and the hub asks for fewer requests."""


def for_each_file(files: Sequence[RemoteFile], work: Callable[[RemoteFile], None], progress: FetchProgress) -> None:
    """Call ``work`` with each file, four at once.

    A file with wrong bytes stops no other one. After any other failure no further file is begun, and those that were
    begun go on.

    Raises:
        SeatrialError: The first failure.
        KeyboardInterrupt: After Ctrl-C, once every thread has ended.

    """
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="fetch") as pool:
        begun = {pool.submit(work, file): file for file in files}
        try:
            failure = _first_failure(begun, progress)
        except BaseException:
            progress.stopping.set()
            _cancel(begun)
            raise
    if failure is not None:
        raise failure


def _first_failure(begun: dict[Future[None], RemoteFile], progress: FetchProgress) -> Exception | None:
    first: Exception | None = None
    for done in as_completed(begun):
        try:
            done.result()
        except (CancelledError, StoppedError):
            continue
        except SeatrialError as error:
            if first is None and len(begun) > 1:
                progress.report("note", f"{error.what} The other files go on.")
            first = first or error
            if not isinstance(error, ModelFileError):
                _cancel(begun)
    return first


def _cancel(begun: dict[Future[None], RemoteFile]) -> None:
    for future in begun:
        future.cancel()
