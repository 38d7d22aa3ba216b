"""Checks new facts against the types of their loader, and prints what changes for users; with --write, takes them.

python tools/facts.py FILE...             check, and print what would change; nothing is written
python tools/facts.py FILE... --write     the same, then replace the project's data files
python tools/facts.py --kinds             list the data files

FILE is a vendor's facts, or a new edition of one of the project's data files. Exit code 2: a file is malformed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from refresh.convert import Form, Made
from refresh.forms import form_of, place_of_prose
from refresh.kinds import DataFile, data_files, named, parsed, problems_of, recognised, unread_fields
from refresh.report import Report, effects, row_changes, to_json
from refresh.schema import joined, once
from seatrial.errors import SeatrialError, UsageError
from seatrial.records import read_json
from seatrial.writing import write_text

ROOT = Path(__file__).resolve().parents[1]


def read(path: Path) -> tuple[dict[str, Any], str]:
    """Return the document in a file, and its text.

    Raises:
        UsageError: It is no JSON or TOML document with names.

    """
    if path.suffix == ".toml":
        try:
            return parsed(path), path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise UsageError(f"{path} cannot be read: {error}.", remedy="Check the file.") from error
    document = read_json(path)
    text = path.read_text(encoding="utf-8-sig")
    if not isinstance(document, dict):
        raise UsageError(f"{path} holds a {type(document).__name__}, not a table with names.", remedy="Check the file.")
    return document, text


def editions_of(paths: Sequence[Path], root: Path, kind: str | None, checked: str | None) -> list[Made]:
    """Return the new editions that files hold; facts of one vendor in several files make one.

    Raises:
        UsageError: A file is malformed, or it is not clear what it replaces.

    """
    files = data_files(root)
    found: list[Made] = []
    made_from: dict[str, Path] = {}
    facts: dict[str, list[tuple[Path, Form, dict[str, Any]]]] = {}
    for path in paths:
        document, text = read(path)
        if form := form_of(document):
            facts.setdefault(form.name, []).append((path, form, document))
        else:
            file = _file(files, document, path, kind)
            found.append(Made(file, document, text))
            made_from[file.path] = path
    for rows in facts.values():
        for made in _converted(rows, files, checked):
            found.append(made)
            made_from[made.file.path] = rows[0][0]
    for each in found:
        if [one.file for one in found].count(each.file) > 1:
            raise UsageError(
                f"Several of the files replace {each.file.path}.", remedy="Give one of them; nothing was written."
            )
        if problems := once(problems_of(each.file, each.document)):
            raise _malformed(made_from[each.file.path], problems)
    return found


def _file(files: list[DataFile], document: dict[str, Any], path: Path, kind: str | None) -> DataFile:
    if kind:
        wanted = named(files, kind)
        if len(wanted) != 1:
            which = f"{len(wanted)} are: {', '.join(file.name for file in wanted)}" if wanted else "none is"
            raise UsageError(f"No single data file is called {kind}; {which}.", remedy="python tools/facts.py --kinds")
        return wanted[0]
    if where := place_of_prose(document):
        raise UsageError(
            f"{path} states facts in sentences, which a person carries over.",
            remedy=f"Put each into {where}, and check that file.",
        )
    if file := recognised(files, document, path):
        return file
    raise UsageError(
        f"{path} is like none of the project's data files: {', '.join(document) or 'it is empty'}.",
        remedy="Name the file it replaces with --kind (python tools/facts.py --kinds lists them).",
    )


def _converted(
    rows: list[tuple[Path, Form, dict[str, Any]]], files: list[DataFile], checked: str | None
) -> Iterator[Made]:
    for path, form, document in rows:
        if problems := once(form.problems(document)):
            raise _malformed(path, problems)
    try:
        yield from rows[0][1].convert([document for _, _, document in rows], files, checked)
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise UsageError(
            f"{rows[0][0]} cannot become a data file: {type(error).__name__} {error}.",
            remedy="Compare its rows with those of the last edition; nothing was written.",
        ) from error


def _malformed(path: Path, found: list[str]) -> UsageError:
    count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
    return UsageError(f"{path} has {count}:\n  {joined(found)}", remedy="Correct the file; nothing was written.")


def answers(root: Path, editions: Sequence[Made], hardware: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what users are told with the installed data and with the new one, both computed at the same time.

    Raises:
        UsageError: The package cannot plan with the new data, or no question is about a machine.

    """
    with tempfile.TemporaryDirectory(prefix="facts.") as folder:
        copy = Path(folder)
        shutil.copytree(root / "lib", copy / "lib")
        for file in data_files(root):
            if file.path.startswith("tests/"):
                (copy / file.path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(root / file.path, copy / file.path)
        for each in editions:
            write_text(copy / each.file.path, each.text)
        started = [_ask(place, hardware) for place in (root, copy)]
        old, new = (process.communicate() for process in started)
    for process, output, which in zip(started, (old, new), ("installed", "new"), strict=True):
        if process.returncode:
            last = " ".join(output[1].strip().splitlines()[-1:])
            raise UsageError(f"The planner cannot work with the {which} data: {last}", remedy="Nothing was written.")
    before, after = json.loads(old[0]), json.loads(new[0])
    known = {*before["machines"], *after["machines"]}
    if unknown := [name for name in hardware if name not in known]:
        near = get_close_matches(unknown[0], sorted(known)) or sorted(known)[:3]
        raise UsageError(
            f"No question is about {', '.join(unknown)}; machines like it are {', '.join(near)}.",
            remedy="Correct --hardware; nothing was written.",
        )
    return before, after


def _ask(root: Path, hardware: Sequence[str]) -> subprocess.Popen[str]:
    command = [sys.executable, str(Path(__file__).with_name("refresh") / "effects.py"), str(root), *hardware]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def notes_of(made: Made) -> Iterator[str]:
    """Yield what a person should know of a new data file."""
    yield from made.notes
    if unread := unread_fields(made.file, made.document):
        yield f"{made.file.name}: nobody reads {', '.join(unread)} of its rows."


def say(text: str) -> None:
    """Print a line of progress."""
    print(text, file=sys.stderr, flush=True)


def run(arguments: argparse.Namespace) -> int:
    """Check, report, and write if asked."""
    editions = editions_of(arguments.files, arguments.root, arguments.kind, arguments.checked)
    say(f"{len(arguments.files)} valid; asking the planner what changes (about half a minute) ...")
    before, after = answers(arguments.root, editions, arguments.hardware)
    report = Report(
        rows=[rows for each in editions for rows in row_changes(each.file, each.document)],
        notes=[note for each in editions for note in notes_of(each)],
        users=effects(before, after),
        questions=len(after["plans"]),
    )
    print(to_json(report) if arguments.json else report.to_text(every=arguments.all))
    if arguments.write:
        for each in editions:
            write_text(arguments.root / each.file.path, each.text)
            say(f"Wrote {each.file.path}.")
    else:
        say("Nothing was written; --write takes the new data.")
    return 0


def main(words: Sequence[str] | None = None) -> int:
    """Read the command line, or these words of one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--write", action="store_true", help="replace the data files if the new ones are valid")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON document")
    parser.add_argument("--all", action="store_true", help="print every line of the report, not the first of each part")
    parser.add_argument("--kind", metavar="NAME", help="the data file that FILE replaces, if it is not recognised")
    parser.add_argument("--kinds", action="store_true", help="list the data files")
    parser.add_argument("--checked", metavar="DAY", help="day the facts were checked, for facts that do not say it")
    parser.add_argument("--hardware", action="append", default=[], help="ask about this machine only; may be repeated")
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository (default: this one)")
    arguments = parser.parse_args(words)
    if arguments.kinds:
        print("\n".join(file.name for file in data_files(arguments.root)))
        return 0
    if not arguments.files:
        parser.error("name a FILE")
    try:
        return run(arguments)
    except SeatrialError as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
