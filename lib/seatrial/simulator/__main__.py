"""Runs the simulated engine as a program, on this machine only: ``python -m seatrial.simulator``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from seatrial.environment import variable
from seatrial.simulator import FAULTS, Settings
from seatrial.simulator.startup import phases

_STARTUP = "SEATRIAL_SIMULATED_STARTUP_S"  # sets --startup-s if others write the command line: a notebook, a test
_LONGEST_S = 3600

_logger = logging.getLogger("seatrial.simulator")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the simulator's options; each is a field of ``Settings`` or part of its address."""
    defaults = Settings()
    parser = argparse.ArgumentParser(
        prog="python -m seatrial.simulator", description=__doc__, allow_abbrev=False, epilog=_faults(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="loopback address to listen on")
    add("--port", type=int, default=0, help="0: any free port, which the log names")
    add("--api-key-file", type=Path, help="file with the key that requests must carry")
    add("--model", default=defaults.model, help="model id to list and serve")
    add("--ttft-s", type=_seconds, default=defaults.ttft_s, help="request to first token")
    add("--tpot-s", type=_seconds, default=defaults.tpot_s, help="between later tokens")
    add("--tpot-per-stream-s", type=_seconds, default=0.0, help="added for each further stream")
    add("--slots", type=_count, help="streams at once; further requests wait")
    add("--kv-tokens", type=_count, default=defaults.kv_tokens, help="that fit the KV cache whose use /metrics shows")
    add("--tokens-per-chunk", type=_count, default=defaults.tokens_per_chunk)
    add("--reasoning-tokens", type=int, default=0, help="tokens sent as reasoning first")
    add("--reasoning-field", choices=("reasoning_content", "reasoning"), default=defaults.reasoning_field)
    add("--answer-tokens", type=_count, help="tokens after which the model stops by itself")
    add("--usage", choices=("last", "each", "none"), default=defaults.usage)
    add("--no-tokenizer", dest="tokenizer", action="store_false", help="no /tokenize")
    add("--no-chat", dest="chat", action="store_false", help="no /v1/chat/completions")
    add("--fault", dest="faults", action="append", choices=tuple(FAULTS), default=[], help="see below; repeatable")
    add("--fault-after", type=int, default=defaults.fault_after, help="tokens sent before a mid-stream fault")
    add("--fault-skip", type=int, default=0, help="requests served well first")
    add("--fault-times", type=_count, help="requests that meet the fault (default: all)")
    add("--retry-after-s", type=_seconds, default=defaults.retry_after_s)
    add("--ready-after-s", type=_seconds, default=0.0, help="/health answers 503 until then")
    add(
        "--startup-s",
        type=_seconds,
        default=variable(_STARTUP) or "0",
        help=f"phases before it listens ({_STARTUP})",
    )
    return parser


def main() -> int:
    """Serve until SIGTERM or SIGINT; return 1 if the port cannot be bound."""
    arguments = build_parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    if not _is_loopback(arguments.host):
        _logger.error("%s is not a loopback address; the simulator serves this machine only", arguments.host)
        return 2
    chosen = {field.name: getattr(arguments, field.name) for field in fields(Settings) if field.name != "api_key"}
    try:
        key = arguments.api_key_file.read_text().strip() if arguments.api_key_file else None
    except OSError as error:
        _logger.error("the key file %s cannot be read: %s", arguments.api_key_file, error.strerror)  # noqa: TRY400
        return 2
    settings = Settings(**{**chosen, "faults": tuple(arguments.faults)}, api_key=key)
    for seconds in phases(arguments.startup_s) if arguments.startup_s else ():
        time.sleep(seconds)
    try:
        with asyncio.Runner(loop_factory=_fastest_loop()) as runner:
            runner.run(_serve(settings, arguments.host, arguments.port))
    except OSError as error:
        _logger.error("cannot listen on %s:%s: %s", arguments.host, arguments.port, error.strerror)  # noqa: TRY400
        return 1
    return 0


async def _serve(settings: Settings, host: str, port: int) -> None:
    from aiohttp import web

    from seatrial.simulator.app import build_app

    runner = web.AppRunner(build_app(settings), access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    try:
        site = web.TCPSite(runner, host, port, backlog=1024)
        await site.start()
        bound = runner.addresses[0][1]
        url = f"http://[{host}]:{bound}" if ":" in host else f"http://{host}:{bound}"
        _logger.info("simulated engine (no model behind it) serves %s on %s", settings.model, url)
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()
        await stopped.wait()
    finally:
        await runner.cleanup()


def _fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    found: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return found


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= _LONGEST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to {_LONGEST_S}")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return value


def _faults() -> str:
    return "faults:\n" + "\n".join(f"  {name:<13} {what}" for name, what in FAULTS.items())


if __name__ == "__main__":
    # The output may be a closed pipe or a log file that is gone: end quietly.
    with contextlib.suppress(KeyboardInterrupt):
        code = main()
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(code)
