"""The report: one file that needs nothing, says everything it knows and what it lacks, and stays harmless."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from tests.view.made_up import HOSTILE, measurement, plans, results, write_run

from seatrial.errors import UsageError
from seatrial.measure import SelfCheck
from seatrial.records import Reason, to_dict
from seatrial.view.report.compared import read_runs
from seatrial.view.report.page import write_report

SECTIONS = ("Does DeepSeek V4 run here?", "What was measured", "What was launched", "Every figure, and where it comes from",
            "The machine", "Notebooks", "Versions")  # fmt: skip
ADDRESSES = {"src", "href", "xlink:href", "srcset", "action", "data", "background", "poster"}


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text, self.depth = [], [], "", []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        """Keep it."""
        self.tags.append(tag)
        self.attributes += [(tag, *attribute) for attribute in attrs]

    def handle_data(self, data):
        """Keep it."""
        self.text += data


@pytest.fixture
def build(tmp_path):
    """Write the report of a run with these results, and give its HTML."""

    def write(recorded=None, **changes):
        return write_report(
            [write_run(tmp_path / "made-up-run", recorded, **changes)], tmp_path / "report.html"
        ).read_text()

    return write


def test_a_whole_run_has_every_section_and_its_four_plots(build):
    """Verdicts, measured, launched, figures, machine, notebooks, versions; nothing is said to be missing."""
    html = build()
    page = Page(html)
    for heading in SECTIONS:
        assert f"<h2>{heading}</h2>" in html
    assert 6 == page.tags.count("svg")  # four over load and time, memory, and the card
    assert 'class="missing"' not in html
    for words in (
        "Throughput peaks at 210 tok/s",
        "Half of the requests begin to answer",
        "Output over time",
        "Memory peaks",
    ):
        assert words in page.text


def test_how_the_server_came_up_is_a_table(build):
    """Each phase with its time and share, and the log that was kept; damaged rows are left out."""
    recorded = results()
    phases = [{"name": "loading weights", "seconds": 75.0}, {"name": HOSTILE, "seconds": 25.0}, {"name": 3}, "no"]
    recorded["server"] = {**recorded["server"], "phases": phases}
    name = recorded["server"]["name"]
    page = Page(
        build(recorded, notebooks=[{"notebook": "04.ipynb", "status": "completed", "logs": [f"logs/04-{name}.log"]}])
    )
    assert "The start took 1 min 40 s" in page.text
    assert "75%" in page.text
    assert f"logs/04-{name}.log" in page.text


def test_it_says_that_a_stand_in_was_measured(build):
    """In the headline and in a banner, before any figure."""
    html = build()
    assert "made-up-model (stand-in) on h100x4: 210 tok/s" in html
    assert html.index("A stand-in, not DeepSeek V4.") < html.index('class="tiles"')


def test_a_simulated_run_says_that_nothing_is_real(build):
    """Its figures are called simulated, never measured."""
    html = build(results() | {"measurement": measurement(simulated=True, stand_in=False), "server": {}})
    assert "No model answered" in html
    assert "made-up-model, simulated" in html
    assert "made-up-model, measured" not in html


def test_a_measurement_that_is_not_valid_says_so_first(build):
    """In a banner with the reason, in the tile, and under every plot of it."""
    check = SelfCheck(0.01, 0.9, 0.1, valid=False, why="The client was too slow.")
    doubtful = measurement(points=tuple(replace(one, self_check=check) for one in measurement().points))
    html = build(results() | {"measurement": doubtful})
    assert html.index("Not valid at 4 of 4 load levels.") < html.index("<main>")
    assert "The client was too slow." in html
    assert "measured, stand-in, not valid, 8 streams" in html
    assert "NOT VALID at 4 of 4" in html


def test_the_headline_figure_is_of_a_valid_level(build):
    """Where one level is doubtful the best valid one is named; where all are, the figure itself says so."""
    points = measurement().points
    bad = [replace(one, self_check=replace(one.self_check, valid=False, why="Slow.")) for one in points]
    html = build(results() | {"measurement": measurement(points=(*points[:3], bad[3]))})
    assert '<dd class="figure">170 tok/s</dd>' in html
    assert "on h100x4: 170 tok/s</h1>" in html
    html = build(results() | {"measurement": measurement(points=tuple(bad))})
    assert '<dd class="figure">210 tok/s (not valid)</dd>' in html
    assert '<dd class="figure">60 ms (not valid)</dd>' in html
    assert "on h100x4: 210 tok/s (not valid)</h1>" in html


def test_the_verdict_of_notebook_00_alone_is_a_plan(build):
    """It says what each model needs, so the report does; notebook 02's plans come first where both ran."""
    html = build({"verdict": dict(zip(("flash", "pro"), plans("h200x8"), strict=True))})
    assert "No plan was recorded" not in html
    assert "DeepSeek-V4-Flash on h200x8" in html
    html = build({"verdict": plans("h200x8"), "plans": plans("h100x4")})
    assert "on h100x4" in html
    assert "on h200x8" not in html


def test_each_figure_has_its_origin(build):
    """Derived, assumed, predicted, measured: all four occur in the table of figures."""
    table = build().partition("Every figure, and where it comes from</h2>")[2].partition("</table>")[0]
    for origin in ("derived", "assumed", "predicted", "measured"):
        assert f'<td data-name="Origin">{origin}</td>' in table


def test_the_server_is_proved_gone(build):
    """Processes left and the port, as the stop said."""
    assert "gone after 200 ms; port free again" in build()


def test_the_command_to_repeat_it_has_the_notebooks_and_parameters(build):
    """What a reader types to get the same."""
    page = Page(build())
    assert "seatrial run notebooks/05_live_throughput.ipynb" in page.text
    assert "-p concurrency 1,2,4,8" in page.text


def test_the_page_loads_nothing_and_runs_nothing(build):
    """No script, no address outside the page; the policy forbids both, and allows the one style by its hash."""
    html = build()
    page = Page(html)
    assert not {"script", "link", "iframe", "img", "object", "embed", "base", "form"} & set(page.tags)
    places = {value for _, name, value in page.attributes if name in ADDRESSES and not value.startswith("#")}
    assert {
        "report-levels.csv",
        "report-levels.json",
        "report-card.svg",
        "report-card.html",
    } == places  # beside it, never elsewhere
    assert not [name for _, name, _ in page.attributes if name.startswith("on") or name == "style"]
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in html
    assert not re.search(r"@import|url\((?!#)", style)


@pytest.mark.parametrize("gone", ["hardware", "plans", "plan", "measurement", "server", "command", "prediction"])
def test_what_was_not_recorded_is_said_not_hidden(build, gone):
    """Each section stays, and a missing part is named."""
    html = build({name: value for name, value in results().items() if name != gone})
    for heading in SECTIONS:
        assert f"<h2>{heading}</h2>" in html


def test_a_run_that_recorded_nothing_says_so_everywhere(build):
    """Every section says what is missing."""
    html = build({}, notebooks=[], versions={})
    assert "What DeepSeek V4 needs, on an unrecorded machine" in html
    assert html.count('class="missing"') >= 6


def test_a_notebook_that_failed_is_named_at_the_top(build):
    """With its error and its cell."""
    failed = {"notebook": "04.ipynb", "status": "failed", "duration_s": 1.0, "parameters": {},
              "error": {"kind": "EngineError", "message": "It ran out of memory.", "cell": "launch"}}  # fmt: skip
    html = build(notebooks=[failed])
    assert html.index("04.ipynb did not complete.") < html.index("<main>")
    assert "EngineError in cell launch: It ran out of memory." in html


@pytest.mark.parametrize(
    "damage",
    [
        {"measurement": {"points": "no"}},
        {"measurement": 7},
        {"plans": [1, {"verdict": "perhaps"}]},
        {"hardware": []},
        {"prediction": {"1": {"basis": 5}}},
        {"server": "gone"},
        {"command": ["llama-server"]},
        {"measurement": to_dict(measurement()) | {"started_at": float("nan")}},
    ],
)
def test_a_damaged_result_is_named_and_the_rest_is_shown(build, damage):
    """One unreadable result does not cost the others."""
    html = build(to_dict(results()) | damage)
    assert "Damaged record." in html
    assert "<h2>Versions</h2>" in html


def spoil(value):
    """``value`` with something hostile in every free text; names that decide stay."""
    if isinstance(value, dict):
        return {name: one if name in {"verdict", "origin", "objective"} else spoil(one) for name, one in value.items()}
    if isinstance(value, list):
        return [spoil(one) for one in value]
    return f"{value}{HOSTILE}" if isinstance(value, str) else value


def test_hostile_text_in_every_field_stays_text(build):
    """Markup is escaped, escape codes and direction marks are gone, the page's structure is the same."""
    row = {"notebook": HOSTILE, "status": HOSTILE, "duration_s": 1.0, "parameters": {HOSTILE: HOSTILE},
           "error": {"kind": HOSTILE, "message": HOSTILE, "cell": HOSTILE}}  # fmt: skip
    html = build(spoil(to_dict(results())), id=HOSTILE, started_at=HOSTILE, seatrial_version=HOSTILE,
                 versions={HOSTILE: HOSTILE}, notebooks=[row])  # fmt: skip
    page = Page(html)
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert not {"\x1b", "\x07", "\u202e", "\u202c"} & set(html)
    assert "<script>alert(1)</script>" in page.text


def test_absurd_figures_do_not_stop_it(build):
    """Not-a-number and infinities are unknown, huge numbers are left out of plots."""
    spoiled = json.loads(json.dumps(to_dict(results())))
    spoiled["server"]["ready_after_s"] = float("nan")
    spoiled["plans"][0]["capacity_bytes"] = 10**40
    spoiled["measurement"]["samples"][5] |= {"at_s": 1e200, "tokens_per_s": 1e250, "memory_bytes": 10**17}
    spoiled["measurement"]["points"][1] |= {"output_tokens_per_s": float("inf"), "concurrency": 0}
    assert "<h2>What was measured</h2>" in build(spoiled)


def test_runs_are_compared_first_and_then_shown(tmp_path):
    """The answer, one table, overlaid plots, what is folded; the same name twice is told apart; gaps are said."""
    one = write_run(tmp_path / "a" / "run")
    two = write_run(tmp_path / "b" / "run", results() | {"measurement": measurement(1.5)})
    three = write_run(tmp_path / "c" / "bare", {"plans": plans()})
    html = write_report([one, two, three, one], tmp_path / "all.html").read_text()
    assert "3 runs compared" in html
    assert "Of 3 runs: run (2) serves 1.5 times the tokens of run (1) at 8 streams, at the same TTFT (stand-in)" in html
    assert "Nothing was measured in: bare." in html
    assert [html.count(f'id="run-{place}"') for place in (1, 2, 3)] == [1, 1, 1]
    assert html.index('id="compare"') < html.index('id="run-1"')
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_the_report_of_a_folder_goes_into_it(tmp_path):
    """An output that is a folder gets report.html."""
    assert tmp_path / "report.html" == write_report([write_run(tmp_path / "run")], tmp_path)


def test_what_is_no_run_is_refused_and_nothing_is_written(tmp_path):
    """A missing folder names its neighbours; a file that is no record is said to be none."""
    write_run(tmp_path / "good")
    for name, text in (("list", "[]"), ("broken", "{"), ("binary", "\x80"), ("deep", "[" * 100_000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "record.json").write_bytes(text.encode("latin-1"))
    for path in (tmp_path / name for name in ("absent", "list", "broken", "binary", "deep")):
        with pytest.raises(UsageError):
            write_report([path], tmp_path / "report.html")
    with pytest.raises(UsageError, match="good"):
        write_report([tmp_path / "absent"], tmp_path / "report.html")
    with pytest.raises(UsageError, match="No run was named"):
        write_report([], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "light"), (1280, "dark")])
def test_it_fits_the_window_and_asks_for_nothing(build, open_page, width, scheme):
    """In a real browser: no request, no complaint of the policy, no sideways scrolling, readable contrast."""
    page = open_page(build(), width, scheme)
    assert [] == page.noted
    assert width == page.evaluate("document.documentElement.scrollWidth")
    assert 5 == page.locator("svg:visible").count()  # that of memory is folded
    colors = page.evaluate("""() => ['h1', 'td', 'figure svg text'].map(name => {
        const one = document.querySelector(name), style = getComputedStyle(one);
        return name.endsWith('text') ? style.fill : style.color; })""")
    light = [sum(map(int, re.findall(r"\d+", color)[:3])) > 384 for color in colors]
    assert [scheme == "dark"] * 3 == light


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("machine", ["h100x4", "rtxpro6000x8"])
def test_no_picture_is_cut_off(build, open_page, machine, width):
    """In a real browser every picture is as wide as its place at most, and its text lies within, also on a telephone."""
    page = open_page(build(results() | {"plans": plans(machine)}), width)
    assert [] == page.evaluate("""() => [...document.querySelectorAll('figure')].flatMap(figure => {
        const frame = figure.getBoundingClientRect();
        return [...figure.querySelectorAll('svg, text')].filter(one => {
            const box = one.getBoundingClientRect();
            return box.left < frame.left - 1 || box.right > frame.right + 1;
        }).map(one => one.textContent);
    })""")
    named = page.locator("figure.wide text").all_text_contents()
    assert 2 == len([name for name in named if name.endswith(f" on {machine}")])  # whole, not shortened


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 1000, 800, 400])
def test_no_table_hides_its_last_column(tmp_path, open_page, width):
    """In a real browser no table is wider than its place, of one run or of several."""
    long = results() | {"example_plans": (*plans("h200x4"), *plans("cpu"))}
    one = write_run(tmp_path / "a-run-with-quite-a-long-name", long)
    two = write_run(tmp_path / "b", results() | {"measurement": measurement(1.5)})
    page = open_page(write_report([one, two], tmp_path / "report.html").read_text(), width)
    wider = """() => [...document.querySelectorAll('.scroll')].filter(one => one.scrollWidth > one.clientWidth)
        .map(one => one.querySelector('caption').innerText)"""
    assert [] == page.evaluate(wider)


def test_the_detail_of_a_row_is_on_the_page_and_escaped(build):
    """A source or a reason under a row is not lost between the notebook and the page."""
    recorded = results()
    plan = replace(recorded["plan"], reasons=(Reason("It fits.", "derived", "<b>why</b>"),))
    assert "It fits.<br><small>source: &lt;b&gt;why&lt;/b&gt;</small></td>" in build(recorded | {"plan": plan})


def test_one_run_is_not_the_fastest_of_anything(tmp_path):
    """A table of one run states its speed; a winner needs another run."""
    compared = read_runs([write_run(tmp_path / "made-up-run")])
    assert "made-up-model (stand-in) on h100x4: 210 tok/s" == compared.finding == compared.table().title
