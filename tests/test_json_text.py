"""One door for JSON from outside: a document, or one error that says what is wrong with it."""

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import seatrial
from seatrial.json_text import JsonDecoder, JsonError, parse_json

DEEP = b"[" * 100_000 + b"]" * 100_000

WRONG = [
    (b"", "is not JSON: it is empty"),
    (b" \n", "is not JSON: Expecting value"),
    (b'{"tokens": 1', "is not JSON: Expecting ',' delimiter"),
    (b'{"tokens": 1} x', "is not JSON: Extra data"),
    (DEEP, "is nested too deeply"),
    (b"[" * 100_000, "is nested too deeply"),
    (b'{"more": ' * 100_000, "is nested too deeply"),
    (b'{"more": ' + b"[" * 300 + b"]" * 300 + b"}", "is nested too deeply"),
    (b'{"more": NaN}', "holds NaN, which is no JSON number"),
    (b'{"more": -Infinity}', "holds -Infinity, which is no JSON number"),
    (b'{"more": "\xff"}', r"is not UTF-8 text \(byte 10\)"),
    (b'{"more": "\xed\xa0\x80"}', r"is not UTF-8 text \(byte 10\)"),
    ('{"more": 1}'.encode("utf-16"), "is not UTF-8 text"),
    ('{"more": 1}'.encode("utf-32"), "is not UTF-8 text"),
    (b'{"more": "\\ud83d"}', r"holds half a character \(\\ud83d, a lone surrogate\)"),
    (b'{"more": "\\ude00\\ud83d"}', r"holds half a character \(\\ude00"),
]
WRONG_DOCUMENTS = [
    (b'{"tokens": 1e999}', "holds 1e999, a number out of range"),
    (b'{"tokens": -1e999}', "holds -1e999, a number out of range"),
    (b'{"tokens": -' + b"9" * 5000 + b"}", "holds a number of 5,000 digits, out of range"),
    (b'{"tokens": ' + b"9" * 310 + b"}", "holds a number of 310 digits, out of range"),
    (b'{"tokens": 1, "tokens": 2}', "names 'tokens' twice in one object"),
    (b'[{"a": {"' + b"n" * 500 + b'": 1, "' + b"n" * 500 + b'": 2}}]', r"names 'n{77}\.\.\.' twice"),
]


@dataclass(frozen=True)
class Row:
    """Something with a number."""

    tokens: int = 0
    more: Any = None


@pytest.mark.parametrize(("text", "message"), WRONG + WRONG_DOCUMENTS)
def test_what_no_reader_agrees_on_is_one_error(text, message):
    """The message says what is wrong with the text, and names no function of Python."""
    with pytest.raises(JsonError, match=message):
        parse_json(text)


@pytest.mark.parametrize(("text", "message"), [*WRONG, (b'{"tokens": "x"}', "has another form: Expected `int`")])
def test_a_typed_reader_says_the_same(text, message):
    """It never ends in an error of the stack, of msgspec or of an encoding."""
    with pytest.raises(JsonError, match=message):
        JsonDecoder(Row)(text)


def test_a_byte_order_mark_is_no_content():
    """Editors of Windows write one, and so do some gateways."""
    assert {"tokens": 1} == parse_json(b'\xef\xbb\xbf{"tokens": 1}')
    assert Row(1) == JsonDecoder(Row)(b'\xef\xbb\xbf{"tokens": 1}')


def test_text_of_the_command_line_that_is_no_utf_8():
    """Python keeps such bytes of arguments and file names as halves of characters."""
    with pytest.raises(JsonError, match="is not UTF-8 text"):
        parse_json('{"more": "\udcff"}')


def test_what_is_deep_but_read_can_be_walked():
    """Whoever shows or copies the document has room on the stack."""
    levels = 190
    found = parse_json(b"[" * levels + b"]" * levels)
    assert "[" * levels + "]" * levels == str(found)


def test_brackets_in_a_text_are_no_levels():
    """An answer may hold any number of brackets."""
    text = b'{"tokens": 3, "more": "' + b"[{" * 5000 + b'"}'
    assert 3 == JsonDecoder(Row)(text).tokens
    assert "[{" * 5000 == parse_json(text)["more"]


def test_half_a_character_can_be_mended():
    """A stream may cut an emoji in two. An escaped backslash before a u is none, and a whole pair stays."""
    text = rb'{"more": "\ud83d|\\ud83d|\ud83d\ude00|\ude00"}'
    assert {"more": "\ufffd|\\ud83d|\U0001f600|\ufffd"} == parse_json(text, mend_halves=True)


def test_nothing_in_the_package_reads_json_in_another_way():
    """A new place that goes round the door would overflow its stack on brackets; the supervisor has no choice."""
    package = Path(seatrial.__file__).parent
    # The supervisor runs beside the engine and imports the standard library only; it reads what this kit wrote.
    allowed = {"json_text.py", "server/supervisor.py"}
    found = {
        f"{name}:{node.lineno}"
        for path in package.rglob("*.py")
        if (name := path.relative_to(package).as_posix()) not in allowed
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if _reads_json(node)
    }
    # HttpReply.json, which goes through the door itself.
    assert set() == {place for place in found if not place.startswith("server/loopback.py")}


READERS = {"load", "loads", "decode", "Decoder", "JSONDecoder", "scanner", "decoder"}


def _reads_json(node):
    """Return True for json.loads, msgspec.json.decode and their like, an import of them, and response.json()."""
    if isinstance(node, ast.ImportFrom):
        return node.module in {"json", "json.decoder", "msgspec.json"} and not READERS.isdisjoint(
            alias.name for alias in node.names
        )
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "json":
        return True
    if isinstance(node, ast.Import):
        return any(alias.name in {"orjson", "ujson", "simplejson", "rapidjson"} for alias in node.names)
    if not isinstance(node, ast.Attribute) or node.attr not in READERS:
        return False
    owner = node.value
    return (isinstance(owner, ast.Name) and owner.id in {"json", "msgspec"}) or (
        isinstance(owner, ast.Attribute) and owner.attr == "json"
    )


@pytest.mark.parametrize(
    "source",
    [
        "json.loads(text)",
        "json.load(file)",
        "read = json.loads",
        "json.JSONDecoder()",
        "msgspec.json.decode(text)",
        "msgspec.json.Decoder(Row)",
        "from json import loads",
        "from msgspec.json import decode",
        "import orjson",
        "response.json()",
    ],
)
def test_every_way_round_the_door_is_found(source):
    """The test above sees each of these."""
    assert any(map(_reads_json, ast.walk(ast.parse(source))))
