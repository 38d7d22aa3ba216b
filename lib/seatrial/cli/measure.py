"""Send load to a server and sum up the answers.

seatrial measure --server NAME                        a server that seatrial serve started
seatrial measure --url http://127.0.0.1:8000          any OpenAI-compatible server
seatrial measure --server NAME --concurrency 1,8,64   throughput over streams at once
seatrial measure --server NAME --rate 1,2,4 --slo-ttft-s 0.5
                                                      latency under so many requests a second
seatrial measure --server NAME --prompt-tokens 1000,8000,32000 --prefix both
                                                      long prompts, and what prefix caching brings
seatrial measure --server NAME --find-knee --slo-ttft-s 0.5 --check-answers
                                                      the most streams that it holds, and if answers stay right
seatrial measure --server NAME --replay trace.csv     recorded requests, as they came

TTFT is the time to the first token, TPOT the time for each later one; docs/measuring.md defines
every figure. The exit code is 5 if the figures are not the server's: no request succeeded, the client
itself was too late, or something between server and client held the stream back. Ctrl-C shows what
was measured until then, and exits with 130.
"""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Self

from seatrial import environment
from seatrial.cli.answer import CommandResult, stderr, stdout
from seatrial.cli.load_options import add_load_options, workload_of
from seatrial.cli.measure_record import record_path, write_measurement
from seatrial.errors import INTERRUPTED, EngineError, MeasurementError, SeatrialError, UsageError
from seatrial.launching.next_plan import why_ended
from seatrial.measure import Load, LoadProgress, Measurement, find_problems, start_load
from seatrial.records import to_dict

if TYPE_CHECKING:
    from seatrial.server import Server
    from seatrial.view.tables.table import Table

_LOOK_S = 0.2  # at least so often an interrupt is noticed


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``seatrial measure``."""
    server = parser.add_mutually_exclusive_group(required=True)
    server.add_argument("--url", help="base of an OpenAI-compatible server, for example http://127.0.0.1:8000")
    server.add_argument("--server", metavar="NAME", help="name of a server in seatrial ps")
    parser.add_argument("--api-key-env", metavar="VAR", help="environment variable that holds the API key of --url")
    parser.add_argument("--model", help="model id (default: the one the server lists)")
    add_load_options(parser)
    parser.add_argument("--live", action="store_true", help="show the load while it runs: output, waits, queue, GPUs")
    parser.add_argument("--output", metavar="FILE", help="write a record, which seatrial report shows")


def run(arguments: argparse.Namespace) -> CommandResult:
    """Measure, and exit with 5 if the result is not valid."""
    workload = workload_of(arguments)
    output = record_path(arguments.output)
    api_key = _api_key(arguments.api_key_env)
    target = _target(arguments)
    with _Display() if not (arguments.json or arguments.live) else nullcontext() as display:
        show = display.update if display is not None else None
        try:
            with start_load(target, workload, api_key=api_key, model=arguments.model, on_event=show) as load:
                stopped = _interrupted(load, live=arguments.live)
                measurement = load.result()
        except SeatrialError as error:
            ended = _why_it_ended(target)
            if ended is None:
                raise
            raise ended from error
    if ended := _why_it_ended(target):
        stderr().print(f"{ended.what}\n{ended.remedy}", soft_wrap=True)
    problems = find_problems(measurement)
    measurement, compared = _beside_prediction(target, measurement, valid=not problems)
    if output is not None:
        write_measurement(output, measurement, target)
    from seatrial.view.tables.measurements import warnings_of

    if arguments.json:
        for line in (*measurement.notes, *warnings_of(measurement), *problems):
            stderr().print(line)
    not_valid = MeasurementError.exit_code if problems else 0
    return CommandResult(
        document=to_dict(measurement.points),
        show=lambda: _show(measurement, compared),
        exit_code=INTERRUPTED if stopped else not_valid,
    )


def _interrupted(load: Load, *, live: bool) -> bool:
    """Wait for the end of a load; return True if a person stopped it, and something was measured until then.

    Raises:
        KeyboardInterrupt: If nothing was.

    """
    try:
        if live:
            from seatrial.cli.measure_live import show_live

            show_live(load)
        while not load.wait(_LOOK_S):
            pass
    except KeyboardInterrupt:
        load.stop()
        if not load.recorder.points:
            raise
        stderr().print("Stopped by you. This was measured until then:", soft_wrap=True)
        return True
    return False


class _Display:
    """Progress on standard error, one bar a load level."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}", markup=False),
            TimeElapsedColumn(),
            console=stderr(),
        )
        self._tasks: dict[int, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._tasks:
            self._bars.stop()

    def update(self, progress: LoadProgress) -> None:
        """Move the bar of the level that runs."""
        if not self._tasks:
            self._bars.start()  # not before: an early error is printed without bars
        if progress.point not in self._tasks:
            self._tasks[progress.point] = self._bars.add_task(progress.level, total=progress.requests, speed="")
        speed = "" if progress.tokens_per_s is None else f"{progress.tokens_per_s:,.0f} tok/s"
        self._bars.update(self._tasks[progress.point], description=progress.level, completed=progress.done, speed=speed)


def _target(arguments: argparse.Namespace) -> Server | str:
    if arguments.url is not None:
        url: str = arguments.url
        return url
    if arguments.api_key_env is not None:
        raise UsageError("--api-key-env goes with --url.", remedy="Leave it out: --server knows its own key.")
    from seatrial.server import find_server

    return find_server(arguments.server)


def _why_it_ended(target: Server | str) -> EngineError | None:
    """Return why a server of this machine ended by itself, None if it did not."""
    from seatrial.server import Server
    from seatrial.server.failures.diagnosis import ended_error

    if not isinstance(target, Server) or target.alive():
        return None
    target.stop()  # waits until its supervisor has recorded how it ended
    why = why_ended(target)
    return None if why is None else ended_error(why, target.engine, target.name)


def _api_key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = environment.variable(variable)
    if key is None:
        # Not repeated: somebody may have typed the key itself.
        raise UsageError(
            "The environment variable named with --api-key-env is not set.",
            remedy="Give the name of the variable, not the key: export KEY=... and --api-key-env KEY.",
        )
    return key


def _beside_prediction(
    target: Server | str, measurement: Measurement, *, valid: bool
) -> tuple[Measurement, Table | None]:
    """Compare a planned server with its prediction, and keep the ratio for the next one if the figures are valid."""
    if isinstance(target, str):
        return measurement, None
    from seatrial.launching.learned_speed import compare_with_plan, remember_speed, with_predictions
    from seatrial.view.tables.predicted import table_predicted

    compared, kept = compare_with_plan(target, measurement), False
    measurement = with_predictions(target, measurement)
    try:
        kept = valid and remember_speed(target, measurement) is not None
    except SeatrialError as error:  # a full disk, say: the measurement itself is no worse for it
        stderr().print(f"The next prediction does not use this measurement. {error}", soft_wrap=True)
    return measurement, table_predicted(compared, kept=kept) if compared else None


def _show(measurement: Measurement, compared: Table | None) -> None:
    from seatrial.view.tables.measurements import table_measurement, table_self_check

    stdout().print(table_measurement(measurement).to_rich())
    if any(not point.self_check.valid for point in measurement.points):
        stdout().print(table_self_check(measurement).to_rich())
    if compared is not None:
        stdout().print(compared.to_rich())
