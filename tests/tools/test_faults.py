"""What `make faults` makes of its trials."""

from tools.faults import Trial, result_of, table

ROW = {"number": 9, "fault": "start that stalls", "expected": "given up"}


def test_a_fault_passes_where_every_test_of_a_repetition_did():
    """Two tests, three repetitions: one failed in the second, so two of three were survived."""
    trials = [Trial(name, at) for at in range(3) for name in ("stalls", "hangs")]
    trials[3].outcome, trials[3].why = "failed", "call: assert 0"
    trials[0].seen = [("cause", "stalled"), ("evidence", "one line"), ("stop", 1.5), ("orphans", 0)]
    trials[5].seen = [("stop", 11.0), ("diagnosis", 0.5), ("variant", "real"), ("orphans", 1)]
    result = result_of(ROW, trials, 3)
    assert (2, 3, ("hangs: call: assert 0",)) == (result.passed, result.repetitions, result.failures)
    assert ({"diagnosis": 0.5, "stop": 11.0}, ("stop",)) == (result.worst_s, result.over_bar)
    assert (("stalled",), "one line", ("real",), 1) == (result.causes, result.evidence, result.variants, result.orphans)


def test_a_time_over_its_bar_is_marked():
    """In the table, beside what was survived."""
    trial = Trial("stalls", 0, seen=[("stop", 11.0)])
    shown = table([result_of(ROW, [trial], 1)]).to_text()
    assert "1 of 1 faults survived each time" in shown
    assert "11.00!" in shown


def test_what_was_not_run_is_no_pass():
    """A skipped test is named with its reason."""
    trial = Trial("kills", 0, outcome="skipped", why="memory cgroup is not installed")
    result = result_of(ROW, [trial], 1)
    assert (0, ("memory cgroup is not installed",), ()) == (result.passed, result.skipped, result.failures)
