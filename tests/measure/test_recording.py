"""Recorded lists of arrivals are read in the public forms, and sent as they were recorded."""

import json
from dataclasses import replace

import pytest
from tests.measure.conftest import SMALL

from seatrial.errors import UsageError
from seatrial.measure import Workload, measure_server
from seatrial.measure.recording import Arrival, mean_rate, read_recording
from seatrial.measure.workload import label_of, levels_of
from seatrial.measure.workload_check import check_workload

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:15:51.2224670,879,55
"""
BURST = """Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type
5,a,1.2,ChatGPT,472,18,490,Conversation log
45,b,,ChatGPT,1087,230,1317,Conversation log
118,a,2,GPT-4,417,0,417,API log
"""
MOONCAKE = """{"timestamp": 0, "input_length": 700, "output_length": 5, "hash_ids": [0, 1]}
{"timestamp": 3052, "input_length": 900, "output_length": 4, "hash_ids": [0, 2]}
"""


@pytest.fixture
def recorded(tmp_path):
    """Write a file and read it as a recording; further values are the workload's."""

    def read(text, name="trace.csv", **values):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_recording(Workload(replay=str(path), **values))

    return read


def test_azure(recorded):
    """Dates with seven digits after the second; the first request leaves at once."""
    recording = recorded(AZURE)
    assert [(374, 44), (396, 109), (879, 55)] == [(one.prompt_tokens, one.answer_tokens) for one in recording.arrivals]
    assert [0.0, 4.314579, 4.541877] == pytest.approx([one.at_s for one in recording.arrivals], abs=1e-5)


def test_burst_gpt(recorded):
    """Seconds, sessions, and a failed request without an answer, which is left out and said."""
    recording = recorded(BURST)
    assert (Arrival(0.0, 472, 18, "a"), Arrival(40.0, 1087, 230, "b")) == recording.arrivals
    assert ("1 rows of trace.csv without prompt or answer tokens were left out.",) == recording.notes
    assert 2 / 40 == mean_rate(recording)


def test_mooncake(recorded):
    """Whole milliseconds beside ids of blocks, whose size no row says: the power of two that covers the prompts."""
    recording = recorded(MOONCAKE, "trace.jsonl")
    assert (Arrival(0.0, 700, 5, "", (0, 1)), Arrival(3.052, 900, 4, "", (0, 2))) == recording.arrivals
    assert (512, ("The times of trace.jsonl were read as milliseconds.",)) == (recording.block_tokens, recording.notes)


def test_blocks_beside_seconds(recorded):
    """Fractions are seconds, also beside ids of blocks."""
    rows = [{"timestamp": at, "input_length": 20, "output_length": 2, "hash_ids": [1, 2]} for at in (0.0, 1.5)]
    recording = recorded("\n".join(map(json.dumps, rows)))
    assert ([0.0, 1.5], 16) == ([one.at_s for one in recording.arrivals], recording.block_tokens)


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffarrived_at;num_prefill_tokens;num_decode_tokens\r\n1.0;10;2\r\n2.0;11;3\r\n",
        "arrival_timestamp\tprompt_size\ttoken_size\n1\t10\t2\n\n2\t11\t3\n",
        ('[{"time_ms": 1000, "prompt_tokens": "10", "completion_tokens": 2.0}, '
        '{"time_ms": 2000, "prompt_tokens": 11, "completion_tokens": 3}]'),
        ('{"timestamp": "2024-05-10T00:00:01+00:00", "input_tokens": 10, "output_tokens": 2}\n'
        '{"timestamp": "2024-05-10 00:00:02Z", "input_tokens": 11, "output_tokens": 3}'),
        'Answer tokens,note,Timestamp,Prompt Tokens\n3,"a, b",2,11\n2,,1,10\n',
    ],
)  # fmt: skip
def test_other_spellings(recorded, text):
    """Other separators, names, orders, lists of objects: the same two requests, in the order of time."""
    assert (Arrival(0.0, 10, 2), Arrival(1.0, 11, 3)) == recorded(text).arrivals


def test_the_first_so_many(recorded):
    """Rows after those that were asked for are not read, be they ever so wrong; the speed changes the times."""
    recording = recorded(AZURE + "rubbish", requests=2, speed_up=2)
    assert [0.0, 2.15729] == pytest.approx([one.at_s for one in recording.arrivals], abs=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not tell when it came and prompt tokens and answer tokens.*its columns are nothing"),
        ("timestamp,prompt_tokens,answer_tokens\n", "has no request"),
        ("timestamp,prompt_tokens,answer_tokens\n1,0,0\n", "has no request"),
        ("a,b\n1,2\n", "its columns are a, b"),
        ("timestamp,prompt_tokens\n1,2\n", "does not tell answer tokens"),
        (AZURE + "2023-11-16 18:15:52,many,5\n", "line 5: the row has no number of prompt tokens .* but 'many'"),
        (AZURE + "2023-11-16 18:15:52,1.5,5\n", "line 5: .*'1.5'"),
        (AZURE + "2023-11-16 18:15:52,-4,5\n", "line 5: .*'-4'"),
        (AZURE + "2023-11-16 18:15:52,nan,5\n", "line 5: .*'nan'"),
        (AZURE + "2023-11-16 18:15:52,1e30,5\n", "line 5: .*'1e30'"),
        (AZURE + "2023-11-16 18:15:52,7\n", "line 5: the row has 2 values for 3 columns"),
        (AZURE + "soon,7,7\n", "line 5: the row has no time but 'soon'"),
        (AZURE + "nan,7,7\n", "line 5: the row has no time but 'nan'"),
        (AZURE + "inf,7,7\n", "line 5: the row has no time but 'inf'"),
        (AZURE + 'x,"7\n', "line 5: "),
        (
            MOONCAKE + '{"timestamp": true, "input_length": 7, "output_length": 5}',
            "line 3: the row has no time but True",
        ),
        (MOONCAKE + '{"timestamp": 1, "input_length": 7, "output_length": [5]}', r"line 3: .* but \[5\]"),
        (MOONCAKE + '{"timestamp": 1, "input_length": 7}', "line 3: .* but None"),
        (
            MOONCAKE + '{"timestamp": 1, "input_length": 7, "output_length": 5, "hash_ids": 3}',
            "no list of hash ids but 3",
        ),
        (
            MOONCAKE + '{"timestamp": 1, "input_length": 7, "output_length": 5, "hash_ids": [null]}',
            "no list of hash ids",
        ),
        (MOONCAKE + '{"timestamp": 1', "line 3: the row is not JSON"),
        (MOONCAKE + "[1, 2]", "line 3: the row is no JSON object"),
        ("[1, 2]", "line 1: the row is no JSON object"),
        ('[{"timestamp": 1', "cannot be read: it is not JSON"),
        (b"\xff\xfe\x00\x01", "not text in UTF-8"),
        (b"timestamp,prompt_tokens,answer_tokens\n1,2,\xff\n", "not text in UTF-8"),
        ("x" * (5 << 20), "line 1: the row is longer"),
        ('[{"conversations": [{"from": "human", "value": "Hello"}]}]', "its columns are conversations"),
        (
            "timestamp,prompt_tokens,answer_tokens\n" + "1,4000000,1\n" * 9,
            "have 36,000,000 tokens together, more than 32,000,000",
        ),
        ("timestamp,prompt_tokens,answer_tokens\n" + "1,1,1\n" * 100_001, "more than 100,000 requests"),
    ],
)
def test_bad_files(recorded, text, message):
    """One message with the file and the line, before anything is sent."""
    with pytest.raises(UsageError, match=message):
        recorded(text)


@pytest.mark.parametrize("name", ["nothing.csv", ".", "a\0b"])
def test_no_file(tmp_path, name):
    """Missing, a folder, an impossible name."""
    with pytest.raises(UsageError, match=r"cannot be read|is no file"):
        read_recording(Workload(replay=str(tmp_path / name)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": 2.0}, "rate would change them"),
        ({"prompt_tokens": "5,6", "prefix": "both"}, "prefix and prompt_tokens would change them"),
        ({"find_knee": True}, "find_knee would"),
        ({"until_stopped": True}, "until_stopped would"),
        ({"arrivals": "constant"}, "arrivals would"),
        ({"speed_up": 0}, "speed_up is 0"),
        ({"speed_up": -2, "replay": None}, "speed_up is -2"),
        ({"speed_up": 2, "replay": None}, "speed_up goes with a replay"),
    ],
)
def test_contradictions(changes, message):
    """A recording decides arrivals and prompts itself."""
    with pytest.raises(UsageError, match=message):
        check_workload(Workload(**{"replay": "trace.csv", **changes}), None)


def test_a_replay(recorded, tmp_path, simulate):
    """Requests leave when recorded, at the speed asked for, with prompts and answers as long as recorded."""
    recorded("timestamp,prompt_tokens,answer_tokens\n0,40,3\n1,300,9\n1,64,5\n3,50,7\n")
    workload = replace(SMALL, concurrency=(1,), requests=None, replay=str(tmp_path / "trace.csv"), speed_up=10)
    measurement = measure_server(simulate().url, workload)
    (point,) = measurement.points
    by_time = sorted(measurement.completions, key=lambda one: (one.scheduled_s, -one.tokens))
    assert [(40, 3), (300, 9), (64, 5), (50, 7)] == [(one.prompt_tokens, one.tokens) for one in by_time]
    times = [one.scheduled_s - by_time[0].scheduled_s for one in by_time]
    assert [0.0, 0.1, 0.1, 0.3] == pytest.approx(times, abs=1e-6)
    assert (None, pytest.approx(4 / 0.3), "replay of trace.csv at 10 times its speed") == (
        point.concurrency, point.rate, point.label
    )  # fmt: skip
    assert "trace.csv" == measurement.workload.replay  # not the folders of whoever measured
    assert [point.label] == [label_of(level, workload) for level in levels_of(workload)]


def test_conversations_share_their_beginning(recorded, tmp_path, simulate):
    """The second turn of a session finds the first in the cache; another session finds nothing."""
    recorded("timestamp,prompt_tokens,answer_tokens,session_id\n0,200,2,a\n1,400,2,a\n2,400,2,b\n")
    workload = replace(SMALL, requests=None, replay=str(tmp_path / "trace.csv"), speed_up=4)
    completions = sorted(measure_server(simulate().url, workload).completions, key=lambda one: one.scheduled_s)
    assert [200, 400, 400] == [one.prompt_tokens for one in completions]
    assert completions[0].cached_tokens == completions[2].cached_tokens == 0
    assert 176 <= completions[1].cached_tokens <= 200


def test_blocks_are_shared(recorded, tmp_path, simulate):
    """A prompt that begins with the blocks of another shares their text, and no more."""
    rows = [
        {"timestamp": 0, "input_length": 120, "output_length": 2, "hash_ids": [7, 8]},
        {"timestamp": 500, "input_length": 100, "output_length": 2, "hash_ids": [7, 9]},
        {"timestamp": 1000, "input_length": 128, "output_length": 2, "hash_ids": [9, 7]},
    ]
    recorded("\n".join(map(json.dumps, rows)))
    workload = replace(SMALL, requests=None, replay=str(tmp_path / "trace.csv"))
    completions = sorted(measure_server(simulate().url, workload).completions, key=lambda one: one.scheduled_s)
    assert [120, 100, 128] == [one.prompt_tokens for one in completions]
    assert [0, 64, 0] == [one.cached_tokens for one in completions]
