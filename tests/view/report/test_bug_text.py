"""A text to paste into a bug report: everything that explains a result, nothing that names anybody."""

import json

from tests.view.made_up import HOSTILE, results, write_run

from seatrial.cli.main import main
from seatrial.view.report.bug_text import bug_text
from seatrial.view.report.run_record import read_record

PLANTED = ("hf_abcdefghij1234567890", "alice", "10.1.2.3", "gpu7.corp.example.com", "hunter2", "sk-abcdef1234567890")
ROW = {"notebook": "05.ipynb", "status": "failed", "logs": ["logs/05-made-up.log"],
       "error": {"kind": "EngineError", "message": "cannot read /home/alice/key (hunter2)", "cell": "launch"}}  # fmt: skip


def planted_run(tmp_path):
    """Write a run with secrets and names in its command, its failure and its log."""
    argv = ["/home/alice/bin/llama-server", "--api-key=sk-abcdef1234567890", "--model=/home/alice/m.gguf", "--port=1"]
    recorded = results() | {"command": {"argv": argv, "env": {"HF_TOKEN": "hf_abcdefghij1234567890"}}}
    row = ROW | {"error": ROW["error"] | {"message": "cannot read /home/alice/key, password=hunter2"}}
    run = write_run(tmp_path / "run", recorded, notebooks=[row])
    (run / "logs").mkdir()
    (run / "logs" / "05-made-up.log").write_text(
        "alice@gpu7.corp.example.com\nconnect 10.1.2.3\ntoken=hf_abcdefghij1234567890\n"
    )
    return run


def test_everything_a_developer_asks_for_is_there_and_nothing_planted(tmp_path):
    """Versions, machine, command, load, figures, failure and the end of the log."""
    text = bug_text(read_record(planted_run(tmp_path)))
    for heading in (
        "Versions",
        "Machine",
        "Command",
        "Load",
        "Figures",
        "Failures",
        "Last lines of logs/05-made-up.log",
    ):
        assert f"\n## {heading}\n" in text
    for figure in ("0.1.0", "plotly 7.1.0", "H100", "llama-server", "m.gguf", "8 streams", "210", "prompt tokens"):
        assert figure in text
    for secret in PLANTED:
        assert secret not in text


def test_a_log_outside_of_the_run_is_not_read(tmp_path):
    """A record may name any file: only logs in its own folder are opened."""
    (tmp_path / "secret.log").write_text("precious")
    names = [
        "../secret.log",
        str(tmp_path / "secret.log"),
        "record.json",
        "logs/../../secret.log",
        "link.log",
        "\x00",
        7,
    ]
    run = write_run(tmp_path / "run", notebooks=[ROW | {"logs": names}])
    (run / "link.log").symlink_to(tmp_path / "secret.log")
    assert "precious" not in bug_text(read_record(run))


def test_nothing_in_a_log_ends_the_block_or_grows_without_end(tmp_path):
    """Backticks, escape codes, and a line of a megabyte."""
    run = write_run(tmp_path / "run", notebooks=[ROW])
    (run / "logs").mkdir()
    (run / "logs" / "05-made-up.log").write_text(f"````\n```\n{HOSTILE}\n{'x' * 1_000_000}\n@everyone\n" * 40)
    text = bug_text(read_record(run))
    assert text.startswith("`````text\n")
    assert text.endswith("\n`````\n")
    assert not {"\x1b", "\u202e"} & set(text)
    assert len(text) < 30_000


def test_a_run_that_recorded_nothing_has_a_text_too(tmp_path):
    """Damaged and empty results are said."""
    text = bug_text(
        read_record(write_run(tmp_path / "run", {"measurement": 7, "command": []}, notebooks=[], versions=[]))
    )
    assert "The result 'measurement' could not be read." in text


def test_the_command_prints_it_and_writes_nothing(tmp_path, capsys):
    """Of one run; of several it says which to name."""
    run = planted_run(tmp_path)
    assert 0 == main(["report", str(run), "--text"])
    said = capsys.readouterr().out
    assert said.startswith("```text\nseatrial bug report")
    assert not [secret for secret in PLANTED if secret in said]
    assert 0 == main(["report", str(run), "--text", "--json"])
    assert json.loads(capsys.readouterr().out)["text"].strip() == said.strip()
    assert not list(tmp_path.rglob("report*"))
    assert 2 == main(["report", str(run), str(write_run(tmp_path / "two")), "--text"])
    assert "2 were named" in capsys.readouterr().err
