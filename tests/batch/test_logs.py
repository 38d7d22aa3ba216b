"""What an engine wrote stays with the run that launched it, as plain text without secrets."""

import os
import stat

from tests.server.conftest import fake, nothing_left

from seatrial.batch import run_notebooks
from seatrial.batch.logs import keep_logs
from seatrial.records import read_json

__all__ = ["fake", "nothing_left"]

LAUNCH = """\
from seatrial.launching import launch
from tests.server.conftest import fake_command
server = launch(fake_command("--say=\\x1b[31mhello <b>", "--say=Bearer abcdefgh12345678"), name="{name}")
key = server.api_key()
{end}"""


def test_a_runs_folder_holds_the_logs_of_its_engines(write_notebook, tmp_path):
    """If the notebook stopped its server or just ended: the log is there, and the record names it."""
    stopping = write_notebook("one", LAUNCH.format(name="first", end="server.stop()"), alone=True)
    leaving = write_notebook("two", LAUNCH.format(name="second", end="key"), alone=True)
    run = run_notebooks([stopping, leaving], output=tmp_path / "run")
    assert [("logs/one-first.log",), ("logs/two-second.log",)] == [one.logs for one in run.notebooks]
    recorded = read_json(tmp_path / "run" / "record.json")
    assert [["logs/one-first.log"], ["logs/two-second.log"]] == [row["logs"] for row in recorded["notebooks"]]
    text = (tmp_path / "run" / "logs" / "one-first.log").read_text()
    assert "\\x1b[31mhello <b>" in text
    assert "abcdefgh" not in text
    assert 0o600 == stat.S_IMODE((tmp_path / "run" / "logs" / "one-first.log").stat().st_mode)
    again = run_notebooks([stopping, leaving], output=tmp_path / "run").notebooks
    assert [(True, one.logs) for one in run.notebooks] == [(one.kept, one.logs) for one in again]


def test_a_notebook_that_fails_leaves_the_log_too(write_notebook, tmp_path):
    """Above all then somebody wants to read it."""
    failing = write_notebook("bad", LAUNCH.format(name="first", end="1 / 0"))
    (result,) = run_notebooks([failing], output=tmp_path / "run").notebooks
    assert ("failed", ("logs/bad-first.log",)) == (result.status, result.logs)


def test_only_the_servers_of_that_kernel_are_kept(fake, tmp_path):
    """Another process's server, and one of an earlier process of that number, belong to somebody else."""
    fake()
    assert ("logs/nb-fake.log",) == keep_logs(tmp_path, "nb.ipynb", os.getpid(), "2020-01-01T00:00:00+00:00")
    assert () == keep_logs(tmp_path, "nb.ipynb", os.getpid() + 1, "2020-01-01T00:00:00+00:00")
    assert () == keep_logs(tmp_path, "nb.ipynb", os.getpid(), "2999-01-01T00:00:00+00:00")
    assert () == keep_logs(tmp_path, "nb.ipynb", None, "2020-01-01T00:00:00+00:00")


def test_a_link_is_not_written_through(fake, tmp_path, caplog):
    """A logs folder that is a link: a warning, and nothing is written."""
    fake()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "logs").symlink_to(tmp_path / "elsewhere")
    assert () == keep_logs(tmp_path, "nb.ipynb", os.getpid(), "2020-01-01T00:00:00+00:00")
    assert "is a link" in caplog.text
    assert [] == list((tmp_path / "elsewhere").iterdir())


def test_a_log_that_no_run_wrote_stays(fake, tmp_path, caplog):
    """Somebody's file has that name: a warning. A log that an earlier run wrote there is replaced."""
    fake()
    since = "2020-01-01T00:00:00+00:00"
    (tmp_path / "logs").mkdir()
    log = tmp_path / "logs" / "nb-fake.log"
    log.write_text("mine")
    assert ((), "mine") == (keep_logs(tmp_path, "nb.ipynb", os.getpid(), since), log.read_text())
    assert "is there already, and it is not a file that a run made" in caplog.text
    assert ("logs/nb-fake.log",) == keep_logs(tmp_path, "nb.ipynb", os.getpid(), since, {"logs/nb-fake.log"})
    assert "mine" != log.read_text()
