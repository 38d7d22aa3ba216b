"""``seatrial explain``: the exit code, the document, and standard input."""

import gzip
import io
import json
import os
import subprocess
import sys

import pytest

from seatrial.cli.main import main

FAILED = "RuntimeError: CUDA error: system not yet initialized\n"
READY = (
    "INFO 11-02 08:14:03 [api_server.py:1990] vLLM API server version 0.33.0\nINFO:     Application startup complete.\n"
)


@pytest.mark.parametrize(("text", "code", "shown"), [(FAILED, 4, "fabric"), (READY, 0, "no failure"), ("", 2, "empty")])
def test_the_exit_code_tells_the_finding(tmp_path, capsys, text, code, shown):
    """Failed, well, or no log."""
    path = tmp_path / "engine.log"
    path.write_text(text)
    assert code == main(["explain", str(path)])
    written = capsys.readouterr()
    assert shown in written.out + written.err


def test_the_document_has_all_fields(tmp_path, capsys):
    """One JSON document, without a word beside it."""
    path = tmp_path / "engine.log"
    path.write_text(FAILED)
    assert 4 == main(["explain", str(path), "--engine", "vllm", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (str(path), "vllm", False, "failed") == tuple(found[name] for name in ("log", "engine", "guessed", "state"))
    assert ("gpu fabric not up", [FAILED.strip()]) == (found["cause"], found["evidence"])


def test_standard_input_is_read(monkeypatch, capsys):
    """With ``-``, as ``kubectl logs`` is piped into it."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"[pod/x/vllm] {FAILED}".encode())))
    assert 4 == main(["explain", "-"])
    assert "gpu fabric not up" in capsys.readouterr().out


def test_standard_input_may_be_compressed(monkeypatch, capsys):
    """And stays open for whoever comes next."""
    stdin = io.TextIOWrapper(io.BytesIO(gzip.compress(READY.encode())))
    monkeypatch.setattr("sys.stdin", stdin)
    assert 0 == main(["explain", "-"])
    assert "no failure" in capsys.readouterr().out
    assert not stdin.closed


@pytest.mark.parametrize("words", [["none.log"], ["."], ["/dev/null"], ["x", "--engine", "vlm"], []])
def test_bad_usage_is_one_message(words, capsys):
    """Exit code 2, and what to do."""
    assert 2 == main(["explain", *words])
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("form", [(), ("--json",)])
@pytest.mark.parametrize(
    ("line", "code"), [("torch.OutOfMemoryError: CUDA out of memory.\n", 4), ("INFO: all is well\n", 0)]
)
def test_a_reader_that_has_seen_enough_changes_no_exit_code(tmp_path, form, line, code):
    """As head does: it closes the pipe before everything is written."""
    log = tmp_path / "engine.log"
    log.write_text(line)
    read, write = os.pipe()
    os.close(read)
    words = [sys.executable, "-m", "seatrial", "explain", str(log), *form]
    ended = subprocess.run(words, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (code, b"") == (ended.returncode, ended.stderr)
