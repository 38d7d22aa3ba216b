"""What differs between runs, and only that."""

from dataclasses import replace

from tests.view.made_up import HOSTILE, measurement, results, write_run

from seatrial.hardware import detect_hardware
from seatrial.measure import Workload
from seatrial.view.report.differences import differences, table_differences
from seatrial.view.report.run_record import read_record


def found(tmp_path, *runs, **documents):
    """Return the differences between runs with these results."""
    records = [
        read_record(write_run(tmp_path / str(place), results() | one, **documents.get(f"r{place}", {})))
        for place, one in enumerate(runs)
    ]
    return {(one.group, one.what): one.values for one in differences(records)}


def test_equal_runs_do_not_differ(tmp_path):
    """Also if a port or a path of a key file is another."""
    one = {"command": {"argv": ["llama-server", "--port=1", "--ctx-size=4096"], "env": {}}}
    two = {"command": {"argv": ["llama-server", "--port=2", "--ctx-size=4096"], "env": {}}}
    assert {} == found(tmp_path, one, two)


def test_each_kind_of_difference_is_found(tmp_path):
    """Configuration, versions, hardware and load."""
    other = {
        "hardware": replace(detect_hardware("h200x8"), driver="570.1"),
        "command": {"argv": ["llama-server", "--ctx-size=8192", "--flash-attn"], "env": {"OMP_NUM_THREADS": "4"}},
        "measurement": measurement(workload=Workload(concurrency=(1, 2, 4, 8), prompt_tokens=1024, slo_ttft_s=0.5)),
        "server": {"engine_version": "0.5.23"},
    }
    first = {
        "command": {"argv": ["llama-server", "--ctx-size=4096"], "env": {}},
        "server": {"engine_version": "0.5.20"},
    }
    rows = found(tmp_path, first, other, r1={"seatrial_version": "0.2.0", "versions": {"packages": {"plotly": "8"}}})
    assert {
        ("configuration", "--ctx-size"): ("4096", "8192"),
        ("versions", "seatrial"): ("0.1.0", "0.2.0"),
        ("versions", "engine's version"): ("0.5.20", "0.5.23"),
        ("versions", "plotly"): ("7.1.0", "8"),
        ("hardware", "machine"): ("h100x4", "h200x8"),
        ("hardware", "GPUs"): ("4 x H100 SXM 80GB, 79.6 GiB", "8 x H200 SXM 141GB, 140.4 GiB"),
        ("load", "prompt tokens"): ("128", "1024"),
    } == rows  # what only one run has recorded is no difference


def test_what_was_not_recorded_is_a_dash(tmp_path):
    """Two differ, the third does not say."""
    speeds = [{"server": {"engine_version": "1"}}, {"server": {"engine_version": "2"}}, {"server": {}}]
    assert ("1", "2", "-") == found(tmp_path, *speeds)["versions", "engine's version"]


def test_the_table_names_the_groups(tmp_path):
    """The title says in what they differ."""
    runs = [read_record(write_run(tmp_path / name, results() | {"server": {"engine_version": name}})) for name in "ab"]
    table = table_differences(differences(runs), ["a", "b"])
    assert "They differ in versions" == table.title
    assert (("versions: engine's version", "a", "b"),) == table.rows
    assert "No recorded fact differs" == table_differences([], ["a", "b"]).title


def test_odd_records_are_compared_all_the_same(tmp_path):
    """Wrong types and hostile text in what no type checks."""
    odd = {"command": {"argv": [1, None, "--x", HOSTILE, "-", "--"], "env": {"A": [1], HOSTILE: HOSTILE}},
           "server": {"engine_version": [HOSTILE]}}  # fmt: skip
    rows = found(tmp_path, {"command": {"argv": "no", "env": 7}, "server": {}}, odd,
                 r1={"versions": [1], "seatrial_version": None})  # fmt: skip
    assert {} == rows
