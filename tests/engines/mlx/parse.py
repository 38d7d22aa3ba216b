"""Runs inside MLX's environment: prints the version and the long flags of its server's own parser, as JSON.

Its ``main`` makes the parser and starts the server, so the parser is taken at the moment it would read the arguments.
"""

import argparse
import json
import sys
from importlib.metadata import version

from mlx_vlm.server import cli


class Taken(Exception):  # noqa: N818 -- no error
    """Ends ``main`` before it starts anything."""


def take(self, *_):
    """Raise with the parser."""
    raise Taken(self)


def flags():
    """Return every long flag: whether it takes no value, and its choices if it lists any."""
    argparse.ArgumentParser.parse_args = take
    try:
        cli.main()
    except Taken as taken:
        (parser,) = taken.args
    return {
        name: {"switch": action.nargs == 0, "choices": list(action.choices) if action.choices else None}
        for action in parser._actions
        for name in action.option_strings
        if name.startswith("--") and name != "--help"
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"version": version("mlx-vlm"), "flags": flags()}))
