"""Write the reference pages (docs/cli.md, api.md, notebooks.md, failures.md) and the schema of records from the code.

python tools/docs.py           write them
python tools/docs.py --check   exit 1 and name the pages that are out of date
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import seatrial
from record_schema import SCHEMA, schema_text
from seatrial.catalog.engine_facts import engine_facts, engine_ids
from seatrial.cli.main import COMMANDS, build_parser
from seatrial.server.failures.table import failure_table
from seatrial.writing import write_text

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = "0*.ipynb"
PARAMETER = re.compile(r"(?P<name>\w+): (?P<type>\w+) = (?P<default>.+?)  # (?P<meaning>.+)")
CLI_HEAD = """\
# The command line

Written by `python tools/docs.py` from the commands themselves: change their help texts, then run it.

`seatrial COMMAND` (also `python -m seatrial COMMAND`) does everything the notebooks do. Results go to stdout, messages
and progress to stderr. With `--json` stdout is one JSON document and nothing else: sizes in bytes, durations in seconds,
rates per second; an unknown value is `null`.

| exit code | means |
|---|---|
| 0 | done |
| 1 | unexpected failure, or no network |
| 2 | bad usage or bad input |
| 3 | does not fit, or refused |
| 4 | the engine failed |
| 5 | the measurement is not valid |
| 130 | interrupted |

Environment: `SEATRIAL_CACHE` and `SEATRIAL_STATE` move the downloaded models and the server records, `HF_ENDPOINT` names
a mirror of the model hub, `HF_TOKEN` is sent to that host only, `SEATRIAL_TRACEBACK=1` shows where something failed.
"""


API_HEAD = """\
# The library

Written by `python tools/docs.py` from the docstrings. `import seatrial` is light: parts load when they are used.
Sizes are int bytes, durations float seconds, rates per second; an unknown value is `None`.
"""
NOTEBOOKS_HEAD = """\
# Notebook parameters

Written by `python tools/docs.py` from the notebooks' parameter cells. A name means the same and has the same default in
every notebook. In JupyterLab change the cell; headless: `seatrial run notebooks/05_live_throughput.ipynb -p NAME VALUE`.

| parameter | default | meaning | notebooks |
|---|---|---|---|
"""


FAILURES_HEAD = """\
# Failures

Written by `python tools/docs.py` from `lib/seatrial/server/failures/failures.toml` and the `failures` of each engine in
`lib/seatrial/catalog/engines/`, where the patterns and their sources stand.

When an engine ends, the kit reads the last 4,000 lines of its log, at most 1 MiB of each log file. The error
has `cause`, `phase`, `evidence` (the log lines, escaped) and one remedy; if memory ran out also `next_command`,
the command of the next smaller plan that fits. A wrong cause is worse than none, so:

* Lines that inform, warn, quote a request or show source code never name a cause, nor does the traceback of a single
  request.
* A failure that the engine survived is not the cause: the engine became ready after it, tried another way, went on to
  the phase after the next one, or wrote three more lines of ordinary work.
* A line that names a cause comes before a general one, and that before a failure that follows from another. Among equals
  a raised error comes before a logged one, and then the first line wins: the other ranks die of it.
* GPUs that do not start are the cause of what comes of it, be they only named in a warning: the engine goes on without them, and
  ends because it finds no GPU or because the host's memory is too small.
* If nothing fits, the cause is `unknown`, and the last lines of the first tracebacks are shown.

If the log names nothing, the signal decides. A process that was killed while the kernel counted an out-of-memory kill
ran out of host memory. `seatrial ps --all`, `logs` and `measure` name the cause of a server that ended later, and
`seatrial explain LOG` that of any log ([servers.md](servers.md#logs-of-other-machines)). Real reports of
each, in our own words, are the tests: `tests/server/failures/cases/`; healthy logs with words of failures are in
`tests/server/failures/healthy/`.

Two rules keep the kit itself out of this table. Each stands in one place of the code, with a test that finds a new place
which goes round it:

* **Every wait has a limit, and progress has a floor.** Servers are asked through `server/loopback.py` and hubs through
  `fetch/web.py`, paced by `fetch/pace.py`; what is said is the time that passed
  ([servers.md](servers.md#every-wait-has-a-limit-progress-has-a-floor), `tests/server/test_waits.py`).
* **Ask the kernel what a thing is**, never infer it from a ratio that the rest of the machine sets: `hardware/amd/integrated.py`
  ([planning.md](planning.md#what-a-gpu-is-and-what-it-may-take), `tests/hardware/amd/test_integrated.py`).

| cause | engine | what | remedy |
|---|---|---|---|
"""


def main() -> int:
    """Write the pages, or check them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a page is out of date")
    arguments = parser.parse_args()
    stale = []
    pages = {
        "docs/cli.md": cli_page(),
        "docs/api.md": api_page(),
        "docs/notebooks.md": notebooks_page(),
        "docs/failures.md": failures_page(),
        SCHEMA: schema_text(),
    }
    for name, text in pages.items():
        path = ROOT / name
        if not arguments.check:
            write_text(path, text)
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
    for name in stale:
        print(f"{name} is out of date: run python tools/docs.py", file=sys.stderr)
    return 1 if stale else 0


def cli_page() -> str:
    """Return the text of docs/cli.md."""
    overview = ["| command | does |", "|---|---|"]
    overview += [f"| [`seatrial {name}`](#seatrial-{name}) | {what} |" for name, what in COMMANDS.items()]
    return "\n".join([CLI_HEAD, *overview, "", *map(section, COMMANDS)])


def section(command: str) -> str:
    """Return the section of one command: what it does, how it is called, every option."""
    text = "\n\n".join(map(paragraph, (import_module(f"seatrial.cli.{command}").__doc__ or "").strip().split("\n\n")))
    parser = build_parser(command)
    lines = [f"## seatrial {command}", "", text, "", *arguments_table(parser)]
    for name, inner in commands_of(parser).items():
        lines += ["", f"`seatrial {command} {name}`: {inner.description}", "", *arguments_table(inner)]
    return "\n".join([*lines, ""])


def arguments_table(parser: argparse.ArgumentParser) -> list[str]:
    """Return a table of every argument of a parser."""
    # A parser keeps its options in a private list; there is no other way to read them all.
    rows = [row(action) for action in parser._actions if action.dest != "help"]  # noqa: SLF001
    return ["| argument | default | meaning |", "|---|---|---|", *rows]


def commands_of(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    """Return the commands below a command, by name."""
    below = (action.choices for action in parser._actions if action.nargs == argparse.PARSER)  # noqa: SLF001
    return next((choices for choices in below if isinstance(choices, Mapping)), {})


def paragraph(text: str) -> str:
    """Return a paragraph of a help text; one of command lines only becomes a code block."""
    lines = [line.strip() for line in text.splitlines()]
    code = all(line.startswith("seatrial ") for line in lines)
    return "\n".join(["```", *lines, "```"] if code else lines)


def row(action: argparse.Action) -> str:
    """Return one argument as a row of a table."""
    value = action.metavar or (f"{{{','.join(map(str, action.choices))}}}" if action.choices else None)
    takes_value = action.nargs != 0
    shown = value if isinstance(value, str) else action.dest.upper()
    names = [f"{name} {shown}" if takes_value else name for name in action.option_strings] or [shown]
    default = (
        "" if action.default in (None, False, argparse.SUPPRESS) or not action.option_strings else str(action.default)
    )
    cells = [", ".join(f"`{name}`" for name in names), f"`{default}`" if default else "", action.help or ""]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def failures_page() -> str:
    """Return the text of docs/failures.md: every cause, once for each engine and each remedy."""
    rows = [("any", row) for row in failure_table().failures]
    rows += [(engine_facts(name).title, row) for name in engine_ids() for row in engine_facts(name).failures]
    lines: dict[tuple[str, ...], str] = {}
    for engine, failure in rows:
        place = (failure.cause, engine, failure.what, failure.remedy)
        lines.setdefault(place, f"| {failure.cause} | {engine} | {failure.what} | {failure.remedy} |")
    return FAILURES_HEAD + "\n".join(lines[key] for key in sorted(lines)) + "\n"


def api_page() -> str:
    """Return the text of docs/api.md."""
    return "\n".join([API_HEAD, *(api_entry(name, getattr(seatrial, name)) for name in seatrial.__all__)])


def api_entry(name: str, value: Any) -> str:
    """Return the entry of one public name: signature and docstring."""
    text = inspect.getdoc(value) or ""
    shown = f"seatrial.{name}{signature(value)}" if inspect.isfunction(value) else f"seatrial.{name}"
    return "\n".join([f"### `{name}`", "", "```text", shown, "", textwrap.indent(text, "    "), "```", ""])


def signature(function: Any) -> str:
    """Return arguments and return type as they are written, the same under every Python."""
    definition = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function)))).body[0]
    if not isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef):
        raise TypeError(f"{function} is not written as a function")
    returns = f" -> {ast.unparse(definition.returns)}" if definition.returns else ""
    return f"({ast.unparse(definition.args)}){returns}"


def notebooks_page() -> str:
    """Return the text of docs/notebooks.md."""
    used: dict[tuple[str, str, str], list[str]] = {}
    for path in sorted((ROOT / "notebooks").glob(NOTEBOOKS)):
        for entry in notebook_parameters(path):
            used.setdefault(entry, []).append(path.name[:2])
    rows = [
        f"| `{name}` | `{default}` | {meaning} | {', '.join(numbers)} |"
        for (name, default, meaning), numbers in sorted(used.items())
    ]
    return NOTEBOOKS_HEAD + "\n".join([*rows, ""])


def notebook_parameters(path: Path) -> list[tuple[str, str, str]]:
    """Return name, default and meaning of each parameter of a notebook."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(c["source"]) for c in cells if "parameters" in c["metadata"].get("tags", []))
    return [(found["name"], found["default"], found["meaning"]) for found in PARAMETER.finditer(text)]


if __name__ == "__main__":
    sys.exit(main())
