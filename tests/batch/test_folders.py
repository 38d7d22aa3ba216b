"""Folders a run may write to, and those it must not."""

import subprocess
import sys

import pytest

from seatrial.batch.folders import check_targets, choose_folder, claimed
from seatrial.errors import UsageError


def test_a_new_folder_is_named_by_the_time(monkeypatch, tmp_path):
    """Without --output each run has a folder of its own in runs/."""
    monkeypatch.chdir(tmp_path)
    first = choose_folder(None)
    first.mkdir(parents=True)
    assert "runs" == first.parent.name
    assert first != choose_folder(None)


def test_two_processes_never_choose_the_same_folder(tmp_path):
    """Not even in the same second, when neither has made its folder yet; and choosing makes nothing."""
    script = "from seatrial.batch.folders import choose_folder; print(choose_folder(None))"
    started = [
        subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    first, second = (process.communicate()[0] for process in started)
    assert first != second
    assert [f"{process.pid}" for process in started] == [name.strip().split("-")[2] for name in (first, second)]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "output", ["../elsewhere", "runs/../../x", "runs/{hardware}", "runs/{}", "a\nb", "a\x00b", "", "  "]
)
def test_paths_that_climb_or_are_templates_are_refused(output):
    """Papermill would fill in {names}; neither that nor '..' leaves the folder."""
    with pytest.raises(UsageError):
        choose_folder(output)


def test_links_and_files_are_refused(tmp_path):
    """The output is a folder, not a link to one and not a file."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "file").touch()
    for name in ("link", "file"):
        with pytest.raises(UsageError, match="not a folder"):
            choose_folder(tmp_path / name)


def test_links_inside_the_folder_are_refused(tmp_path):
    """Writing through a link in the notebook's place would change its target."""
    (tmp_path / "a.ipynb").symlink_to(tmp_path / "target")
    with pytest.raises(UsageError, match="is a link"):
        check_targets(tmp_path, ["a.ipynb"])
    assert not (tmp_path / "target").exists()


def test_files_that_no_run_made_are_not_overwritten(tmp_path):
    """--output notebooks would otherwise replace the notebooks themselves."""
    (tmp_path / "a.ipynb").write_text("mine")
    with pytest.raises(UsageError, match="it is not a file that a run made"):
        check_targets(tmp_path, ["a.ipynb"])


def test_a_broken_record_is_said(tmp_path):
    """A record.json that is no record is an error, not an empty run."""
    (tmp_path / "record.json").write_text('{"id": 3}')
    with pytest.raises(UsageError, match="not a Run record"):
        check_targets(tmp_path, ["a.ipynb"])


def test_two_runs_never_share_a_folder(tmp_path):
    """The second one gets an error, and the folder is free again after the first."""
    with claimed(tmp_path), pytest.raises(UsageError, match="Another run"), claimed(tmp_path):
        pass
    with claimed(tmp_path):
        assert tmp_path.exists()


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    """A parent that is a file: the reason and the remedy."""
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"), claimed(tmp_path / "file" / "x"):
        pass


def test_a_folder_that_goes_between_two_looks_is_not_taken(tmp_path, monkeypatch):
    """Another run may remove its empty folder after this one has opened it: what is locked then is no folder any more."""
    folder = tmp_path / "run"
    monkeypatch.setattr("seatrial.batch.folders.fcntl.flock", lambda *_: folder.rmdir())
    with pytest.raises(UsageError, match="Another run"), claimed(folder):
        pass
