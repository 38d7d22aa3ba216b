"""What an engine, a model or a file writes is shown as text: no terminal obeys it, no browser runs it, no eye misses it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.security.conftest import CONTROL, leaky_command

from seatrial.cli.main import main
from seatrial.errors import EngineError
from seatrial.launching import launch
from seatrial.measure.ask import ChatReply
from seatrial.printable import printable
from seatrial.server import find_server
from seatrial.server.log import LONGEST_LINE
from seatrial.view.notebook.servers import show_log, show_reply
from seatrial.view.untrusted import plain_text

HOSTILE = {
    "a script": "<script>alert(1)</script>",
    "an image that fails": "<img src=x onerror=alert(1)>",
    "a remote image": '<img src="https://evil.example/pixel.png">',
    "a Markdown image": "![x](https://evil.example/pixel.png)",
    "a script link": '<a href="javascript:alert(1)">x</a>',
    "a Markdown script link": "[x](javascript:alert(1))",
    "a frame": "<iframe src=https://evil.example></iframe>",
    "a style": "<style>*{display:none}</style>",
    "an end of the block": "</pre></div><script>alert(1)</script>",
    "a comment": "<!-- --><svg/onload=alert(1)>",
    "entities": "&lt;script&gt;&#60;script&#62;",
    "a MathJax link": r"$\href{javascript:alert(1)}{x}$",
    "a MathJax class": r"\[\unicode{<img src=x onerror=alert(1)>}\]",
    "rich markup": "[bold red]x[/] [link=https://evil.example]y[/link] :smile:",
    "a template": "{{ 7*7 }} {% raw %} ${7*7} %(x)s {0}",
    "colours": "\x1b[31mred\x1b[0m",
    "a cleared screen": "\x1b[2J\x1b[H",
    "a window title": "\x1b]0;owned\x07",
    "a hidden link": "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "a clipboard write": "\x1b]52;c;ZXZpbA==\x07",
    "an 8-bit escape": "\x9b2J",
    "an answer asked of the terminal": "\x1b[6n\x1b[c",
    "a bell and a backspace": "a\x07b\x08c",
    "a null": "a\x00b",
    "a direction mark": "a\u202eexe.fugg\u202c",
    "isolates": "\u2066a\u2069\u2067b\u2069",
    "zero-width characters": "a\u200bb\u200cc\u200dd\ufeff",
    "tag characters": "a\U000e0041\U000e0042",
    "a paragraph separator": "a\u2028b\u2029c",
    "a lone surrogate": "a\ud800b",
    "a carriage return": "safe\rspoofed",
    "a forged log line": "x\nseatrial: the server was stopped",
}
SPLIT = {"a carriage return", "a forged log line", "a lone surrogate"}


@pytest.fixture(scope="module")
def hostile_server(tmp_path_factory):
    """Start a server whose log holds every hostile text between two marks."""
    patch = pytest.MonkeyPatch()
    patch.setenv("SEATRIAL_STATE", str(tmp_path_factory.mktemp("hostile")))
    said = [
        f"--say=<{number}>{text}<end>".encode("unicode_escape").decode() for number, text in enumerate(HOSTILE.values())
    ]
    with launch(leaky_command(*said), name="hostile") as server:
        yield server
    patch.undo()


@pytest.fixture
def beside(hostile_server, monkeypatch):
    """Give this test the state folder of the server."""
    monkeypatch.setenv("SEATRIAL_STATE", hostile_server.log.rpartition("/servers/")[0])
    return hostile_server


def raw_between(kind, text):
    """Return the text between the marks of one hostile text in the engine's output (and not in its arguments)."""
    number = list(HOSTILE).index(kind)
    return re.findall(rf"<{number}>(.*?)<end>", text, re.DOTALL)[-1]


@pytest.mark.parametrize("kind", [kind for kind in HOSTILE if kind not in SPLIT])
def test_the_log_shows_it_as_text_in_a_terminal(beside, capsys, kind):
    """Every sign a terminal would obey is an escape a person can read; everything else is as it was."""
    assert 0 == main(["logs", beside.name, "--lines=200"])
    shown = raw_between(kind, capsys.readouterr().out)
    assert printable(HOSTILE[kind]) == shown
    assert CONTROL.search(shown) is None
    assert shown.isprintable()


def test_the_log_is_the_same_in_json(beside, capsys):
    """A document of plain ASCII."""
    assert 0 == main(["logs", beside.name, "--lines=200", "--json"])
    out = capsys.readouterr().out
    assert out.isascii()
    lines = json.loads(out)["lines"]
    assert all(CONTROL.search(line) is None for line in lines)
    assert len(lines) > len(HOSTILE)


def test_a_line_of_10_mb_is_cut_and_says_so(capsys):
    """Of its end, as much as is read of a log; in a terminal, in JSON and in a notebook."""
    with launch(leaky_command(), name="long") as server:
        with Path(server.log).open("ab") as log:  # appended, as an engine does
            log.write(b"\x1b" * 10_000_000 + b"\nlast words\n")
        assert 0 == main(["logs", "long", "--json"])
        lines = json.loads(capsys.readouterr().out)["lines"]
        html = show_log(server)._repr_mimebundle_()["text/html"]
    assert "last words" == lines[-1]
    assert max(map(len, lines)) < 5 * LONGEST_LINE
    assert re.search(r"\.\.\. \([\d,]+ characters\)$", lines[-2])
    assert len(html) < 10 * LONGEST_LINE


def test_a_forged_line_is_a_line_of_the_log_and_nothing_else(beside):
    """What an engine writes never looks like a message of seatrial, which goes to stderr."""
    assert any(line.startswith("seatrial: the server was stopped") for line in beside.read_log(200))


@pytest.mark.parametrize("kind", [kind for kind in HOSTILE if kind != "a lone surrogate"])
def test_a_notebook_shows_a_reply_as_escaped_text(kind):
    """Neither HTML nor Markdown nor LaTeX: one block of escaped text, and the same as plain text."""
    reply = ChatReply("q", HOSTILE[kind], "", "model", 1, 0.1, stand_in=False, simulated=False)
    bundle = show_reply(reply)._repr_mimebundle_()
    assert {"text/html", "text/plain"} == set(bundle)
    holds_no_markup(bundle["text/html"])
    assert CONTROL.search(bundle["text/plain"]) is None


def test_a_notebook_shows_the_log_as_escaped_text(beside):
    """All hostile texts at once, and short."""
    bundle = show_log(beside, 200)._repr_mimebundle_()
    holds_no_markup(bundle["text/html"])
    assert len(bundle["text/html"]) < 200_000


def holds_no_markup(html):
    """Check that a page has only the view's own tags, and no attribute from outside."""
    assert {"p", "strong", "pre", "/p", "/strong", "/pre"} >= set(re.findall(r"<\s*(/?\w+)", html))
    assert 1 == len(re.findall(r"<pre\b", html))
    assert CONTROL.search(html) is None


def test_a_failure_shows_hostile_lines_as_text():
    """The lines an error rests on go through the same."""
    said = [f"--say={text.encode('unicode_escape').decode()}" for text in HOSTILE.values() if "\n" not in text]
    with pytest.raises(EngineError) as caught:
        launch(leaky_command("--fail", *said), name="failing")
    assert all(line.isprintable() for line in caught.value.evidence)
    assert CONTROL.search(str(caught.value)) is None
    assert find_server("failing").state == "ended"


def test_ten_megabytes_are_shown_in_a_moment():
    """Cut first, then looked at; in a process of its own so that memory can be measured."""
    code = (
        "import resource; from seatrial.view.untrusted import plain_text; "
        "text = '\\x1b[31m' * 2_000_000; before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; "
        "shown = plain_text(text); after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; "
        "print(len(shown), after - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    length, grown_kib = map(int, done.stdout.split())
    assert length < 30_000
    assert grown_kib < 8192
    assert plain_text("x" * 10_000_000).startswith("x" * 20_000)
