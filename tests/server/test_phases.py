"""Where an engine is, read from logs as engines of several versions write them, in whatever pieces they arrive."""

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.catalog.engine_facts import engine_ids
from seatrial.server.phases import READ_BYTES, LogReader, PhaseProgress, advance, known_phases, plain, without_clock

LOGS = Path(__file__).with_name("logs")
ENGINES = {"sglang": "sglang", "vllm": "vllm", "llama": "llamacpp", "xllamacpp": "llamacpp", "mlx": "mlx"}


def way(name):
    """Return every place an engine went through, with the last count of each pass."""
    engine = ENGINES[re.split(r"[_.]", name)[0]]
    place, seen = PhaseProgress(), []
    for line in re.split(rb"\r\n|\n|\r", (LOGS / f"{name}.log").read_bytes()):
        place = advance(place, [plain(line)], known_phases(engine))
        pass_ = (place.name, place.step, place.total)
        seen = [*(seen[:-1] if seen and seen[-1][0] == pass_ else seen), (pass_, place.done)]
    return [(name, step, done, total) for (name, step, total), done in seen]


@pytest.mark.parametrize(
    ("name", "phases"),
    [
        (
            "sglang_0_5_23_draft",
            [
                ("starting ranks", "", None, None),
                ("loading weights", "", None, None),
                ("loading weights", "", 46, 46),
                ("allocating caches", "", None, None),
                ("compiling kernels", "", None, None),
                ("compiling kernels", "GROUPED_GEMM_NT_F8F8BF16_MASKED", None, None),
                ("compiling kernels", "GROUPED_GEMM_NT_F8F8BF16_MASKED", 65536, 65536),
                ("compiling kernels", "GEMM_NT_F8F8BF16", None, None),
                ("compiling kernels", "GEMM_NT_F8F8BF16", 16384, 65536),
                ("capturing graphs", "target verify", None, None),
                ("capturing graphs", "target verify", 23, 23),
                ("capturing graphs", "draft decode", None, None),
                ("capturing graphs", "draft decode", 3, 23),
                ("warming up", "", None, None),
            ],
        ),
        (
            "sglang_2025",
            [
                ("starting ranks", "", None, None),
                ("loading weights", "", None, None),
                ("loading weights", "", 55, 55),
                ("allocating caches", "", None, None),
                ("capturing graphs", "", None, None),
                ("capturing graphs", "", 5, 8),
            ],
        ),
        (
            "vllm_0_33_draft",
            [
                ("starting ranks", "", None, None),
                ("loading weights", "", None, None),
                ("loading weights", "", 46, 46),
                ("compiling the model", "", None, None),
                ("allocating caches", "", None, None),
                ("compiling kernels", "", 288, 288),
                ("capturing graphs", "mixed prefill-decode, PIECEWISE", 37, 37),
                ("capturing graphs", "decode, FULL", 21, 21),
                ("opening its port", "", None, None),
            ],
        ),
        (
            "vllm_2024",
            [
                ("starting ranks", "", None, None),
                ("loading weights", "", None, None),
                ("loading weights", "", 1, 1),
                ("capturing graphs", "", 12, 35),
            ],
        ),
        (
            "mlx",
            [
                ("downloading", "", 9, 9),
                ("loading weights", "", None, None),
                ("loading the draft", "", None, None),
                ("opening its port", "", None, None),
            ],
        ),
    ],
)
def test_phases_and_counts_of_a_log(name, phases):
    """Several ranks, a draft's weights after the model's, bars drawn with carriage returns: phases come in order."""
    assert phases == way(name)


@pytest.mark.parametrize(
    ("name", "phases"),
    [
        ("llama_server", ["starting", "loading weights", "warming up", "opening its port"]),
        ("xllamacpp", ["starting", "loading weights", "warming up", "opening its port"]),
        (
            "llama_server_verbose",
            ["starting", "loading weights", "allocating caches", "warming up", "opening its port"],
        ),
        ("llama_cpp_server", ["loading weights", "allocating caches", "opening its port"]),
    ],
)
def test_every_runner_of_llama_cpp_tells_its_phases(name, phases):
    """What the three runners wrote here, at both verbosities; nothing is counted."""
    assert [(phase, "", None, None) for phase in phases] == way(name)


def test_the_start_of_a_drafts_weights_counts_anew():
    """A count that was complete may begin again; one that was not is never set back by a slower rank."""
    phases = known_phases("vllm")
    bar = "Loading safetensors checkpoint shards:  50% Completed | {}/46 [00:33<13:38, 18.60s/it]"
    places = list(
        itertools.accumulate(
            [5, 3, 46, 40, 2], lambda place, n: advance(place, [bar.format(n)], phases), initial=PhaseProgress()
        )
    )
    assert [None, 5, 5, 46, 46, 2] == [place.done for place in places]


@pytest.mark.parametrize("engine", engine_ids())
def test_the_words_of_one_phase_are_no_other_phases(engine):
    """The settings an engine prints first name everything it could do; that begins no phase but the first."""
    settings = (
        (
            "[2026-11-20 09:14:02] server_args=ServerArgs(skip_server_warmup=False, disable_cuda_graph=False, "
            "enable_flashinfer_autotune=True, weight_loader_disable_mmap=False, download_dir=None)"
        ),
        (
            "(APIServer pid=1) INFO 05-04 17:52:10 [utils.py:233] non-default args: {'model': 'x', 'compilation_config': "
            "{'cudagraph_capture_sizes': [1, 2]}, 'kv_cache_dtype': 'fp8'}"
        ),
    )
    assert advance(PhaseProgress(), settings, known_phases(engine)).index <= 0


def read(path, pieces):
    """Read a file that grows by these pieces; return the reader, the place and the lines."""
    reader, place, given = LogReader(path), PhaseProgress(), []
    for piece in pieces:
        with path.open("ab") as file:
            file.write(piece)
        lines = reader.read()
        given += lines
        place = advance(place, lines, known_phases("vllm"))
    return reader, place, given


@given(cuts=st.lists(st.integers(0, 7200), max_size=30))
def test_a_log_read_in_any_pieces_leads_to_the_same_place(tmp_path_factory, cuts):
    """Lines and characters cut anywhere: phase and count at the end are the same."""
    whole = (LOGS / "vllm_0_33_draft.log").read_bytes()[:-400]
    edges = [0, *sorted({cut for cut in cuts if cut < len(whole)}), len(whole)]
    pieces = [whole[begin:end] for begin, end in itertools.pairwise(edges)]
    _, place, _ = read(tmp_path_factory.mktemp("log") / "engine.log", pieces)
    assert ("capturing graphs", "decode, FULL", 21, 21) == (place.name, place.step, place.done, place.total)


def test_a_bar_without_a_line_end_is_seen(tmp_path):
    """A bar is drawn over itself and ends no line until it is complete; what it says now counts."""
    bar = b"\rLoading safetensors checkpoint shards:   4% Completed | 2/46 [00:33<13:38, 18.60s/it]"
    reader, place, _ = read(tmp_path / "engine.log", [bar])
    assert (2, 46) == (place.done, place.total)
    assert "2/46" in reader.recent[-1]


def test_a_number_cut_in_the_middle_is_no_number(tmp_path):
    """``12/3`` of ``12/35 [`` says nothing yet."""
    text = b"Capturing CUDA graphs (decode, FULL):  34%|###       | 12/35 [00:04<00:08,  3.10it/s]"
    _, place, _ = read(tmp_path / "engine.log", [text[:57], b""])
    assert place.done is None
    (tmp_path / "engine.log").unlink()
    _, place, _ = read(tmp_path / "engine.log", [text[:57], text[57:]])
    assert (12, 35) == (place.done, place.total)


def test_a_log_that_begins_anew_is_read_on(tmp_path):
    """Past its cap the log is emptied: what comes then is not missed, and nothing is read twice."""
    path = tmp_path / "engine.log"
    reader = LogReader(path)
    assert [] == reader.read()
    path.write_text("one\ntwo\n")
    assert ["one", "two"] == reader.read()
    path.write_text("six\n")
    assert ["six"] == reader.read()
    assert [] == reader.read()
    assert ("one", "two", "six") == reader.recent


def test_of_a_flood_the_end_is_read(tmp_path):
    """More than can be read at a time: the newest lines are what counts."""
    path = tmp_path / "engine.log"
    path.write_text("x" * 99 + "\n" + "y" * 99 + "\n" * 3 * READ_BYTES + "the last\n")
    assert "the last" == list(filter(None, LogReader(path).read()))[-1]


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"\x1b[32mINFO\x1b[0m done", "INFO done"),
        (b"\x1b]8;;http://evil\x07link\x1b]8;;\x07", "link"),
        (b"\x1b[2K\x1b[1A loading", " loading"),
        (b"a\x00b\xff", "a\\x00b�"),
        (b"Authorization: Bearer abcdefgh12345678", "Authorization: [secret]"),
    ],
)
def test_lines_are_plain_text_without_secrets(raw, shown):
    """Nothing a terminal would obey, and no token of a known form, is shown."""
    assert shown == plain(raw)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("[2026-11-20 09:14:02] waiting for ranks", "[2026-11-20 09:14:07] waiting for ranks"),
        ("shards: 4% | 2/46 [00:33<13:38, 18.60s/it]", "shards: 4% | 2/46 [00:35<14:38, 19.60s/it]"),
        ("INFO 05-04 17:53:20 [x.py:1] still waiting, 60 s", "INFO 05-04 17:54:20 [x.py:1] still waiting, 120 s"),
        ("0.12.219.071 I srv  waiting", "0.14.219.099 I srv  waiting"),
        ("⠋ loading", "⠙ loading"),
        ("| loading", "/ loading"),
    ],
)
def test_a_line_that_only_ticks_says_nothing_new(one, other):
    """A clock, a rate, a spinner: the without_clock stays the same."""
    assert without_clock(one) == without_clock(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("shards: 4% | 2/46 [00:33<13:38, 18.60s/it]", "shards: 6% | 3/46 [00:33<13:38, 18.60s/it]"),
        ("loading part 3", "loading part 4"),
        ("avail mem=12.91 GB", "avail mem=12.35 GB"),
    ],
)
def test_a_line_that_counts_says_something_new(one, other):
    """A count is progress."""
    assert without_clock(one) != without_clock(other)
