"""The files beside a page: CSV and JSON with every level, the card, and the rule of what may be written over."""

import csv
import io
import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from tests.view.made_up import HOSTILE, measurement, results, write_run

from seatrial.cli.main import main
from seatrial.errors import UsageError
from seatrial.measure import SelfCheck
from seatrial.records import Interval
from seatrial.view.report.files import COLUMNS
from seatrial.view.report.page import write_report

BESIDE = ("report-levels.csv", "report-levels.json", "report-card.svg", "report-card.html")


def test_every_level_of_every_run_is_in_csv_and_json(tmp_path):
    """Figures as numbers, unknown as nothing; more runs than the page draws."""
    runs = [write_run(tmp_path / f"r{place:02}") for place in range(11)]
    write_report(runs, tmp_path, [3.6])
    rows = list(csv.DictReader(io.StringIO((tmp_path / "report-levels.csv").read_text())))
    assert 44 == len(rows)
    assert tuple(rows[0]) == COLUMNS
    assert ("r00", "68.0", "0.06", "") == tuple(
        rows[0][name] for name in ("run", "output_tokens_per_s", "ttft_s_p50", "ttft_s_p99")
    )
    assert 3.6 / 3600 / 68 * 1e6 == pytest.approx(float(rows[0]["dollars_per_million_tokens"]))
    document = json.loads((tmp_path / "report-levels.json").read_text())
    assert ("seatrial report", 11) == (document["format"], len(document["runs"]))
    assert [1, 2, 4, 8] == [point["concurrency"] for point in document["runs"][10]["points"]]


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", '=HYPERLINK("http://evil","x")', HOSTILE, "a,b\n=1"]
)
def test_no_cell_is_a_formula_and_no_line_is_added(tmp_path, text):
    """A model, a machine or a reason may be anything."""
    check = SelfCheck(0.0, 0.1, 0.0, valid=False, why=text)
    points = tuple(replace(one, self_check=check) for one in measurement().points)
    write_report(
        [write_run(tmp_path / "r", results() | {"measurement": measurement(model=text, points=points)}, id=text)],
        tmp_path,
    )
    rows = list(csv.reader(io.StringIO((tmp_path / "report-levels.csv").read_text())))
    assert {len(COLUMNS)} == set(map(len, rows))
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "@", "\t"))]


def test_absurd_numbers_are_still_json(tmp_path):
    """Not a number becomes null; a whole number of a hundred digits stays one."""
    points = (replace(measurement().points[0], cached_tokens=10**100, output_tokens_per_s=float("nan")),)
    write_report([write_run(tmp_path / "r", results() | {"measurement": measurement(points=points)})], tmp_path)
    point = json.loads((tmp_path / "report-levels.json").read_text())["runs"][0]["points"][0]
    assert (10**100, None) == (point["cached_tokens"], point["output_tokens_per_s"])


def test_the_card_says_machine_model_speed_and_wait(tmp_path):
    """As a picture and as a page; both say what they are of."""
    write_report([write_run(tmp_path / "r")], tmp_path)
    picture, page = ((tmp_path / f"report-card.{kind}").read_text() for kind in ("svg", "html"))
    said = " ".join(ET.fromstring(picture).itertext())  # noqa: S314 -- ours
    for text in (
        "made-up-model",
        "h100x4",
        "llamacpp",
        "210 tok/s",
        "8 streams",
        "480 ms",
        "14 ms",
        "A stand-in, not DeepSeek V4",
    ):
        assert text in said
        assert text in page
    assert "<img" not in page + picture
    assert "<script" not in page + picture


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"simulated": True}, "SIMULATED: no model answered"),
        ({"stand_in": False, "points": tuple(replace(one, partial=True) for one in measurement().points)}, "PARTIAL"),
        (
            {"points": tuple(replace(one, self_check=SelfCheck(0, 0, 0, valid=False)) for one in measurement().points)},
            "NOT VALID",
        ),
    ],
)
def test_a_card_never_hides_what_its_figures_are(tmp_path, changes, said):
    """Simulated, partial, not valid: on both forms."""
    write_report([write_run(tmp_path / "r", results() | {"measurement": measurement(**changes)})], tmp_path)
    assert said in (tmp_path / "report-card.svg").read_text()
    assert said in (tmp_path / "report-card.html").read_text()


def test_a_hostile_card_is_still_a_picture(tmp_path):
    """Markup in every text stays text."""
    write_report(
        [write_run(tmp_path / "r", results() | {"measurement": measurement(model=HOSTILE, engine=HOSTILE)})], tmp_path
    )
    tree = ET.fromstring((tmp_path / "report-card.svg").read_text())  # noqa: S314 -- ours
    assert {"svg", "style", "rect", "text"} == {one.tag.rpartition("}")[2] for one in tree.iter()}
    assert "<script>" not in (tmp_path / "report-card.html").read_text()


def test_nothing_measured_has_no_card(tmp_path):
    """And no link to one."""
    page = write_report([write_run(tmp_path / "r", {})], tmp_path).read_text()
    assert "card.svg" not in page
    assert ["report-levels.csv", "report-levels.json", "report.html"] == sorted(
        path.name for path in tmp_path.glob("report*")
    )


@pytest.mark.parametrize("name", BESIDE)
@pytest.mark.parametrize("content", ["", "precious", '{"runs": []}', "run,machine\n", "<svg/>"])
def test_a_file_of_somebody_beside_the_page_stays(tmp_path, name, content):
    """Nothing at all is written then; what a report left is written over."""
    run = write_run(tmp_path / "r")
    (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match="it is not a report of seatrial"):
        write_report([run], tmp_path)
    assert [name] == [path.name for path in tmp_path.glob("report*")]
    (tmp_path / name).unlink()
    for _ in range(2):
        write_report([run], tmp_path)


def test_a_link_beside_the_page_is_not_written_through(tmp_path, capsys):
    """Exit code 2, and the file behind it keeps its bytes."""
    run = write_run(tmp_path / "r")
    (tmp_path / "mine").write_text("precious")
    (tmp_path / "all-levels.csv").symlink_to("mine")
    assert 2 == main(["report", str(run), "--output", str(tmp_path / "all.html")])
    assert "all-levels.csv is a link" in capsys.readouterr().err
    assert "precious" == (tmp_path / "mine").read_text()


def test_cost_and_energy_are_shown_if_known_and_said_if_not(tmp_path):
    """Dollars at a price, energy where it was read."""
    run = write_run(tmp_path / "r")
    assert "cost is left out" in write_report([run], tmp_path).read_text()
    page = write_report([run], tmp_path, [10.0]).read_text()
    assert "A million output tokens cost $13.23 at least: r, 8 streams" in page
    points = tuple(
        replace(one, energy_per_token_j=3.6, ttft_interval_s=Interval(0.1, 0.2, 0.3)) for one in measurement().points
    )
    page = write_report(
        [write_run(tmp_path / "e", results() | {"measurement": measurement(points=points)})], tmp_path
    ).read_text()
    assert "Energy of the GPUs for each output token" in page
    assert 'data-name="kWh a million tokens">1<' in page


@pytest.mark.parametrize("price", ["0", "-1", "nan", "inf", "free", "", "1e300"])
def test_a_price_that_is_none_is_bad_usage(tmp_path, capsys, price):
    """Exit code 2 before anything is read."""
    run = write_run(tmp_path / "r")
    with pytest.raises(SystemExit) as ended:
        raise SystemExit(main(["report", str(run), f"--dollars-per-hour={price}"]))
    assert 2 == ended.value.code
    assert not (run / "report.html").exists()
    assert capsys.readouterr().err


def test_a_record_may_stand_beside_a_page_of_its_name(tmp_path):
    """Whoever writes run.html from run.json keeps run.json."""
    record = tmp_path / "run.json"
    record.write_text(json.dumps({"id": "run", "results": {}}))
    before = record.read_bytes()
    assert 0 == main(["report", str(record), "--output", str(tmp_path / "run.html")])
    assert before == record.read_bytes()
