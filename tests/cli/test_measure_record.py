"""``seatrial measure --output``: a record that ``seatrial report`` shows, and that can be shown to others."""

import pytest
from tests.simulator import running_simulator

from seatrial.cli.main import main
from seatrial.measure.record import read_document, read_measurement

SMALL = ("--concurrency", "1,2", "--requests", "2", "--prompt-tokens", "8", "--answer-tokens", "4", "--json")


def test_a_measurement_becomes_a_record(tmp_path):
    """The figures, the load, the machine and the versions; no answer's text; a second one takes its place."""
    path = tmp_path / "runs" / "one.json"
    with running_simulator() as server:
        for _ in range(2):
            assert main(["measure", "--url", server.url, *SMALL, "--output", str(path)]) in {0, 5}
    document = read_document(path)
    measurement = read_measurement(document["results"]["measurement"])
    assert ("one", []) == (document["id"], document["notebooks"])
    assert [1, 2] == [point.concurrency for point in measurement.points]
    assert [2, 2] == [point.requests.succeeded for point in measurement.points]
    assert 4 == len(measurement.completions)
    assert {""} == {one.text for one in measurement.completions}
    assert False is document["results"]["server"]["launched"]
    assert "measured" == document["results"]["hardware"]["origin"]
    assert "python" in document["versions"]


@pytest.mark.parametrize("content", ["precious", "{}", '{"format": "seatrial run"}', ""])
def test_a_file_of_somebody_is_never_a_record(tmp_path, capsys, content):
    """Before anything is asked of the server: nobody listens there."""
    path = tmp_path / "mine.json"
    path.write_text(content)
    assert 2 == main(["measure", "--url", "http://127.0.0.1:9", *SMALL, "--output", str(path)])
    assert "it is not a record of seatrial" in capsys.readouterr().err
    assert content == path.read_text()


@pytest.mark.parametrize("name", ["", "~nobody-of-that-name/x.json", "x" * 300, "a\x00b", "."])
def test_an_odd_path_is_one_message(capsys, name):
    """Exit code 2 before anything is asked of the server."""
    assert 2 == main(["measure", "--url", "http://127.0.0.1:9", *SMALL, "--output", name])
    assert "127.0.0.1" not in capsys.readouterr().err
