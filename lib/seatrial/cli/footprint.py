"""Bytes a checkpoint needs while it is served, by class and per GPU.

Weights are exact: added up tensor by tensor, or read from the headers of local files. The KV cache
follows the engine's own layout. The reserve beside them is assumed, and shown as an interval.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from seatrial.cli.answer import Answer, stdout
from seatrial.cli.options import whole
from seatrial.errors import ModelFileError, UsageError
from seatrial.memory.options import HELP
from seatrial.records import to_dict

MAX_CONFIG_BYTES = 16 << 20


def configure(parser: argparse.ArgumentParser) -> None:
    """A checkpoint or a config.json, and what changes its bytes."""
    parser.add_argument("checkpoint", nargs="?", help="model name, hub id, repo:quantization, or local path")
    parser.add_argument("--config", type=Path, help="config.json of any deepseek_v4 model, instead of a checkpoint")
    parser.add_argument(
        "--engine", help="sglang, vllm, llamacpp, mlx or simulated (default: what loads the checkpoint)"
    )
    parser.add_argument("--context-tokens", type=whole(1, 1 << 24), help="context of each request (default: 8192)")
    parser.add_argument("--concurrency", type=whole(1, 1 << 16), default=1, help="requests at once (default: 1)")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="repeatable; see below")
    width = max(map(len, HELP))
    parser.epilog = "options:\n" + "\n".join(f"  {name:<{width}}  {text}" for name, text in HELP.items())


def run(arguments: argparse.Namespace) -> Answer:
    """Compute the footprint.

    Raises:
        UsageError: Neither or both of a checkpoint and --config, or an option that cannot be.
        RefusedError: Another architecture.

    """
    if (arguments.checkpoint is None) == (arguments.config is None):
        raise UsageError(
            "Give either a checkpoint or --config.",
            remedy="For example: seatrial footprint flash, or --config config.json.",
        )
    settings: dict[str, Any] = {
        "context_tokens": arguments.context_tokens,
        "concurrency": arguments.concurrency,
        "options": _options(arguments.option),
    }
    if arguments.config is not None:
        from seatrial.memory import config_footprint  # noqa: PLC0415

        name, source = str(arguments.config), str(arguments.config)
        config = _read_config(arguments.config)
        footprint = config_footprint(config, engine=arguments.engine or "sglang", source=source, **settings)
    else:
        from seatrial.catalog import find_checkpoint  # noqa: PLC0415
        from seatrial.memory import compute_footprint  # noqa: PLC0415

        checkpoint = find_checkpoint(arguments.checkpoint)
        name = checkpoint.id
        footprint = compute_footprint(checkpoint, engine=arguments.engine, **settings)

    def show() -> None:
        from seatrial.view.memory_tables import caches_table, footprint_table, weights_table  # noqa: PLC0415

        for table in (footprint_table(footprint, name), weights_table(footprint), caches_table(footprint)):
            stdout().print(table.to_rich())

    return Answer({"checkpoint": name, **to_dict(footprint)}, show)


def _options(words: list[str]) -> dict[str, str]:
    options = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"--option {word[:80]!r} has no value.", remedy="Write it as --option NAME=VALUE.")
        options[name] = value
    return options


def _read_config(path: Path) -> dict[str, Any]:
    from seatrial.records import read_json  # noqa: PLC0415

    config = read_json(path, MAX_CONFIG_BYTES)
    if not isinstance(config, dict):
        raise ModelFileError(f"{path} holds no object.", remedy="Give the config.json of a deepseek_v4 model.")
    return config
