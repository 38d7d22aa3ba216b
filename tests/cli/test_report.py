"""``seatrial report``: a page and a short table, or one JSON document."""

import json
import os
import stat
from pathlib import Path

import pytest
from tests.view.made_up import write_run

from seatrial.cli.main import main


def test_one_run_gets_its_page_beside_its_record(tmp_path, capsys):
    """The last line names the file."""
    run = write_run(tmp_path / "first")
    assert 0 == main(["report", str(run)])
    assert (run / "report.html").exists()
    assert f"Report: {run / 'report.html'}" == capsys.readouterr().out.splitlines()[-1]


def test_a_record_can_be_named_itself(tmp_path):
    """``record.json`` means its run."""
    run = write_run(tmp_path / "first")
    assert 0 == main(["report", str(run / "record.json")])
    assert (run / "report.html").exists()


def test_several_runs_are_compared_in_one_document(tmp_path, capsys):
    """--json: one document on stdout and nothing else; the page is written all the same."""
    runs = [write_run(tmp_path / name) for name in ("first", "second")]
    page = tmp_path / "all.html"
    assert 0 == main(["report", *map(str, runs), "--output", str(page), "--json"])
    document = json.loads(capsys.readouterr().out)
    assert str(page) == document["report"]
    assert ["first", "second"] == [run["id"] for run in document["runs"]]
    assert [1, 2, 4, 8] == [point["concurrency"] for point in document["runs"][0]["points"]]
    assert "2 runs compared" in page.read_text(encoding="utf-8")


def test_what_is_no_run_ends_with_2(tmp_path, capsys):
    """One message with the remedy, nothing written."""
    page = tmp_path / "page.html"
    assert 2 == main(["report", str(tmp_path / "absent"), "--output", str(page)])
    assert "There is no run in" in capsys.readouterr().err
    assert not page.exists()


def test_a_page_that_cannot_be_written_ends_with_2(tmp_path, capsys):
    """The folder is a file."""
    run = write_run(tmp_path / "first")
    (tmp_path / "file").write_text("")
    assert 2 == main(["report", str(run), "--output", str(tmp_path / "file" / "page.html")])
    assert "cannot be written" in capsys.readouterr().err


def test_a_report_takes_the_place_of_a_report(tmp_path):
    """The same command again, and a comparison over the page of one run."""
    run = write_run(tmp_path / "first")
    page = run / "report.html"
    assert [0, 0] == [main(["report", str(run)]) for _ in range(2)]
    assert 0 == main(["report", str(run), str(write_run(tmp_path / "second")), "--output", str(page)])
    assert "2 runs compared" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("json_too", [[], ["--json"]])
@pytest.mark.parametrize("name", ["record.json", "mine.ipynb", "thesis.html", "empty.html", "quoting.html", "notes"])
def test_a_file_of_somebody_is_never_a_page(tmp_path, capsys, name, json_too):
    """Its bytes stay; the message names the file and what to do. A page that only quotes a report is no report."""
    run = write_run(tmp_path)
    assert 0 == main(["report", str(run)])
    page = (run / "report.html").read_text(encoding="utf-8")
    contents = {"empty.html": "", "quoting.html": f"<p>See this report:</p>\n{page}", "record.json": None}
    path = tmp_path / name
    if (content := contents.get(name, "precious")) is not None:
        path.write_text(content)
    before = path.read_bytes()
    capsys.readouterr()
    assert 2 == main(["report", str(run), "--output", str(path), *json_too])
    shown = capsys.readouterr()
    assert (before, "") == (path.read_bytes(), shown.out)
    assert f"{path} is there already, and it is not a report of seatrial.\nName another file" in shown.err


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: Path(path).symlink_to("behind")])
@pytest.mark.parametrize("into_folder", [False, True])
def test_a_pipe_or_a_link_is_never_a_page(tmp_path, capsys, make, into_folder):
    """Also as report.html of a folder that was named; a device is refused in the same way."""
    run = write_run(tmp_path / "run")
    place = tmp_path / "report.html"
    make(place)
    before = place.lstat()
    assert 2 == main(["report", str(run), "--output", str(tmp_path if into_folder else place)])
    assert "which nothing is written over" in capsys.readouterr().err
    assert (before.st_ino, stat.S_IFMT(before.st_mode)) == (place.lstat().st_ino, stat.S_IFMT(place.lstat().st_mode))
    assert not (tmp_path / "behind").exists()
