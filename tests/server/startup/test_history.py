"""What is learnt from earlier starts: which of them count, what they say of the time left, and a file that survives."""

import subprocess
import sys
import textwrap
from dataclasses import replace

import pytest

from seatrial.records import Interval
from seatrial.server.startup.history import (
    CUT_BYTES,
    KEPT,
    Past,
    Start,
    TimeLeft,
    add_start,
    earlier_starts,
    find_past,
    history_file,
    rough,
    time_left,
)
from seatrial.server.state import PhaseTime, StartConditions

FLASH = StartConditions(
    "sglang", "0.5.23", "deepseek-ai/DeepSeek-V4-Flash", "h200x4, 192 cores, tensor 4", 160_000_000_000
)
ORDER = ("starting", "loading weights", "allocating caches", "capturing graphs", "first token")


def start(subject=FLASH, **seconds):
    """Return a start with these phases; underscores stand for spaces."""
    times = tuple(PhaseTime(name.replace("_", " "), value) for name, value in seconds.items())
    return Start(subject, times, "2026-11-23T10:00:00Z")


COLD = start(starting=10, loading_weights=300, capturing_graphs=900, first_token=2)
WARM = start(starting=8, loading_weights=60, capturing_graphs=90, first_token=1)


def test_the_same_checkpoint_counts_first():
    """Starts of this checkpoint here; another machine's or engine's tell nothing."""
    elsewhere = replace(WARM, subject=replace(FLASH, machine="h100x8, 192 cores, tensor 8"))
    other = replace(WARM, subject=replace(FLASH, engine="vllm"))
    past = find_past(FLASH, [COLD, elsewhere, other, WARM])
    assert Past((COLD.phases, WARM.phases), "from 2 earlier starts here") == past
    assert find_past(replace(FLASH, machine="cpu"), [COLD, WARM]) is None
    assert find_past(None, [COLD]) is None


def test_another_version_counts_where_there_is_no_other():
    """An engine that was updated starts about as it did; said with its version."""
    newer = replace(FLASH, version="0.6.0")
    assert "from 2 earlier starts here with sglang 0.5.23" == find_past(newer, [COLD, WARM]).basis
    after = replace(WARM, subject=newer)
    assert Past((after.phases,), "from 1 earlier start here") == find_past(newer, [COLD, WARM, after])


def test_another_checkpoint_is_scaled_by_its_bytes():
    """Loading goes with the bytes; kernels and graphs do not."""
    twice = replace(FLASH, checkpoint="another", weights_bytes=320_000_000_000)
    past = find_past(twice, [WARM])
    assert [8, 120, 90, 1] == [time.seconds for time in past.starts[0]]
    assert "from 1 start of other checkpoints here, weights scaled by bytes" == past.basis
    assert find_past(replace(twice, weights_bytes=None), [WARM]) is None


def test_only_the_last_few_starts_count():
    """What a machine did a year ago says little."""
    starts = [start(starting=n) for n in range(9)]
    assert [4, 5, 6, 7, 8] == [phases[0].seconds for phases in find_past(FLASH, starts).starts]


def test_nothing_is_made_up():
    """A first start knows nothing of what follows; where it counts, it knows the end of that alone."""
    unknown = time_left(None, "loading weights", 5.0, None, ORDER)
    assert TimeLeft(None, "not known yet: first start of this engine on this machine") == unknown
    assert "time left not known yet: first start of this engine on this machine" == unknown.to_text()
    counted = time_left(None, "loading weights", 5.0, Interval(50, 60, 80), ORDER)
    assert (
        "about 60 s left of what it counts now (50 to 80 s; at its pace so far; the rest is not known yet)"
        == counted.to_text()
    )


def test_first_and_warm_starts_differ_and_the_spread_says_so():
    """From 151 s, where kernels and pages are cached, to 1202 s, where nothing is."""
    left = time_left(find_past(FLASH, [COLD, WARM]), "starting", 8.0, None, ORDER)
    assert Interval(151, 677.5, 1204) == left.seconds
    assert "about 11 min left (3 to 20 min; from 2 earlier starts here)" == left.to_text()


def test_one_earlier_start_gives_a_wide_spread():
    """One start says nothing of how starts differ: half to twice as long is assumed, and said."""
    left = time_left(find_past(FLASH, [WARM]), "loading weights", 20.0, None, ORDER)
    assert Interval(65.5, 131, 262) == left.seconds
    assert left.to_text().endswith("; from 1 earlier start here; the spread is assumed)")


def test_weights_by_their_own_count_and_the_rest_from_earlier():
    """Shards are counted once from the first to the last, so their pace is better than any memory."""
    left = time_left(find_past(FLASH, [COLD, WARM]), "loading weights", 20.0, Interval(100, 110, 130), ORDER)
    assert Interval(191, 606.5, 1032) == left.seconds
    graphs = time_left(find_past(FLASH, [COLD, WARM]), "capturing graphs", 30.0, Interval(1, 1, 1), ORDER)
    assert Interval(61, 466.5, 872) == graphs.seconds


def test_a_phase_that_takes_longer_than_ever_before():
    """Then earlier starts know nothing either."""
    left = time_left(find_past(FLASH, [COLD, WARM]), "loading weights", 301.0, None, ORDER)
    assert left.seconds is None
    assert "loading weights takes longer than ever before (from 2 earlier starts here)" in left.to_text()


def test_a_phase_no_earlier_start_had():
    """What came after its place then is what still comes."""
    left = time_left(find_past(FLASH, [COLD, WARM]), "allocating caches", 1.0, None, ORDER)
    assert (91, 902) == (left.seconds.low, left.seconds.high)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (7.4, "7 s"), (43, "45 s"), (89, "90 s"), (100, "2 min"), (3599, "1 h 0 min"), (4300, "1 h 12 min")],
)
def test_a_forecast_is_as_rough_as_it_is(seconds, text):
    """No seconds in a forecast of minutes."""
    assert text == rough(seconds)


def test_starts_are_kept():
    """What was added is read again, the oldest first."""
    add_start(COLD)
    add_start(WARM)
    assert [COLD, WARM] == earlier_starts()
    assert 0o600 == history_file().stat().st_mode & 0o777


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\x00\xff\xfe",
        b'{"subject": ',
        b"[]\n[[[[",
        b'{"subject": 3, "phases": [], "at": ""}',
        b"[" * 100_000,
        b"1" * 9999,
    ],
)
def test_lines_that_make_no_sense_are_left_out(damage):
    """Whatever stands between them, good starts before and after it are kept."""
    add_start(COLD)
    with history_file().open("ab") as file:
        file.write(damage)
    add_start(WARM)
    assert [COLD, WARM] == earlier_starts()


def test_the_file_stays_small():
    """Past its size the oldest go."""
    path = history_file()
    long = start(replace(FLASH, machine="x" * 3000), starting=1)
    for number in range(2 * CUT_BYTES // 3000):
        add_start(replace(long, at=str(number)))
    assert path.stat().st_size < CUT_BYTES + KEPT * 4000
    assert str(number) == earlier_starts()[-1].at


def test_many_processes_write_at_once():
    """No start is lost, no line is torn."""
    code = textwrap.dedent("""
        import sys
        from seatrial.server.startup.history import Start, add_start
        from seatrial.server.state import PhaseTime, StartConditions
        for number in range(25):
            subject = StartConditions("sglang", "1", sys.argv[1], "here", None)
            add_start(Start(subject, (PhaseTime("starting", float(number)),), str(number)))
    """)
    writers = [subprocess.Popen([sys.executable, "-c", code, f"checkpoint {n}"]) for n in range(4)]
    assert [0] * 4 == [writer.wait(60) for writer in writers]
    found = [(one.subject.checkpoint, one.at) for one in earlier_starts()]
    assert 100 == len(set(found)) == len(found)


def test_a_history_that_cannot_be_written_harms_nothing(caplog):
    """Said in the log; the launch goes on."""
    history_file().mkdir(parents=True)
    add_start(COLD)
    assert "The time of this start could not be recorded" in caplog.text
    assert [] == earlier_starts()


def test_a_folder_that_somebody_named_keeps_its_mode(monkeypatch, tmp_path):
    """Only what is made in it is private: it may be anybody's, as /tmp is, and history is kept all the same."""
    named = tmp_path / "named"
    named.mkdir()
    named.chmod(0o1777)
    monkeypatch.setenv("SEATRIAL_STATE", str(named))
    add_start(COLD)
    assert [COLD] == earlier_starts()
    assert [0o1777, 0o700, 0o600] == [
        path.stat().st_mode & 0o7777 for path in (named, history_file().parent, history_file())
    ]
