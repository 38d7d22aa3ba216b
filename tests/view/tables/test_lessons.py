"""The tables that teach hold the published figures."""

import re

from seatrial.catalog import find_checkpoint
from seatrial.catalog.engine_facts import engine_facts, engine_ids
from seatrial.engines import build_command
from seatrial.hardware import detect_hardware
from seatrial.launching.this_machine import plan_for, predict_levels
from seatrial.measure.ask import ChatReply
from seatrial.plan import make_plan
from seatrial.plan.vendor.recipes import cells
from seatrial.server.running import NotLaunched
from seatrial.units import format_gib
from seatrial.view.notebook.servers import show_log, show_reply, show_server, show_stopped
from seatrial.view.tables import lessons


def test_a_token_reads_eleven_of_167_gb():
    """Flash: 166.9 GB in memory, 11.2 GB for a token; experts touched follow E(1-(1-k/E)^B)."""
    table = lessons.table_traffic(lessons.default_checkpoints(["flash", "pro"]))
    assert ("166.9 GB", "11.2 GB", "1/15", "6 of 256", "44 of 256", "200 of 256") == table.rows[0][1:]
    assert ("892.7 GB", "39.7 GB") == table.rows[1][1:3]


def test_a_million_tokens_cost_less_than_four_gib():
    """In FP8 with vLLM 3.8 GiB, under 3 % of the weights: not the 30 % one may read."""
    table = lessons.table_contexts(find_checkpoint("flash"), [1048576])
    assert ("1,048,576", "3.8 GiB", "2.5%") == (table.rows[0][0], table.rows[0][1], table.rows[0][-1])


def test_precisions_from_eight_bits_to_two():
    """Q8 and Q4 differ by 7 GB, because the experts are 4 bit in both; MLX files run with MLX."""
    rows = {row[0].rpartition("/")[2]: row for row in lessons.table_precisions().rows}
    assert "161.9" == rows["DeepSeek-V4-Flash-0731-GGUF:UD-Q8_K_XL"][2]
    assert "155.1" == rows["DeepSeek-V4-Flash-0731-GGUF:UD-Q4_K_XL"][2]
    assert "8.3" == rows["DeepSeek-V4-Flash-FP8"][3]
    assert "mlx" == rows["DeepSeek-V4-Flash-4bit"][-1]


def test_every_flag_of_a_command_is_explained():
    """Each flag that a plan for a common machine brings has a sentence."""
    for machine, model, engine, nodes in (
        ("h200x4", "flash", "sglang", 1),
        ("h200x8", "pro", "sglang", 1),
        ("b200x8", "pro", "sglang", 1),
        ("h100x8", "pro", "sglang", 2),
        ("h200x8", "flash", "vllm", 1),
        ("gb200x4", "pro", "vllm", 2),
        ("m3-ultra-512gb", "flash", "llamacpp", 1),
        ("rtx4090x2", "flash", "llamacpp", 1),
        ("h200x4", "flash", "simulated", 1),
    ):
        plan = make_plan(model, hardware=detect_hardware(machine), engine=engine, nodes=nodes)
        table = lessons.table_command(build_command(plan))
        unexplained = [row[0] for row in table.rows if row[0].startswith("--") and not row[2]]
        assert [] == unexplained, (machine, engine)


def test_every_flag_of_a_recipe_is_explained():
    """Whatever a vendor set, and what machines after the first add."""
    explained = lessons._meanings()
    brought = {flag for cell in cells() for flag in cell.flags}
    workers = {engine_facts(engine).versions.worker_flag for engine in engine_ids()} - {None}
    assert set() == (brought | workers) - explained.keys()


def test_values_stand_beside_their_flags():
    """Both --flag=value and --flag value are read; a switch has none."""
    assert [("--a", "1"), ("--b", "2"), ("--c", "")] == lessons._flags(["--a=1", "--b", "2", "--c"])


def test_plans_say_what_would_help():
    """A plan that does not fit names the smallest change, once, without repeating the heading."""
    table = lessons.table_plans([plan_for("cpu", "pro"), plan_for("h200x4", engine="sglang")])
    assert re.fullmatch(r"Pro on cpu needs [\d,.]+ GiB more; Flash on h200x4 runs", table.title)
    assert "with sglang on h200x4, tensor parallel 4" == table.details[1]
    assert "Smallest change" not in table.details[0]


def test_a_title_says_what_a_plan_depends_on():
    """A plan that fits only with host memory nobody has named is not shown without saying so."""
    flash, pro = plan_for("h200x4", "flash"), plan_for("h200x4", "pro")
    needed = format_gib(pro.footprint.host_bytes)
    both = f"On h200x4 Flash runs; Pro fits if {needed} of host memory are free"
    assert both == lessons.table_plans([flash, pro]).title
    assert "On h200x4 Flash runs" == lessons.table_plans([flash]).title
    assert f"On h200x4 Pro fits if {needed} of host memory are free" == lessons.table_plans([pro]).title
    known = make_plan("pro", hardware=detect_hardware("h200x4", host_memory_gib=2048))
    assert known.runs
    assert "On h200x4 Pro fits" == lessons.table_plans([known]).title


def test_predictions_state_their_basis():
    """Low to high at each level, and what the figures rest on."""
    table = lessons.table_prediction(predict_levels(plan_for("h200x4", engine="sglang"), (1, 8)))
    assert ["1", "8"] == [row[0] for row in table.rows]
    assert "calibrated" in table.note
    assert "Nothing is predicted" == lessons.table_prediction({}).title


def test_machines_that_can_be_named():
    """Hopper computes in FP8, Blackwell in FP4 too, an A100 in neither."""
    formats = {row[0]: row[4] for row in lessons.table_named().rows}
    assert ("FP8, BF16", "FP4, FP8, BF16", "BF16") == (formats["h200"], formats["b200"], formats["a100-80gb"])


def test_no_accelerator_is_said_in_words():
    """An empty table would look like an error."""
    assert "no accelerator" in lessons.show_accelerators(detect_hardware("cpu")).to_text()
    assert "H200" in lessons.show_accelerators(detect_hardware("h200x4")).to_text()
    assert "No problems" in lessons.show_problems(detect_hardware("h200x4")).to_text()


def test_a_model_s_words_are_shown_as_text():
    """Markup and escape codes of an answer stay harmless, and a stand-in says what it is."""
    reply = ChatReply(
        "Why?", "<script>alert(1)</script>\x1b[31m", "thinking", 3, 0.5, "made-up", stand_in=True, simulated=False
    )
    shown = show_reply(reply)
    assert "<script>" not in shown.to_html()
    assert "\x1b" not in shown.to_text()
    assert "a stand-in, not DeepSeek V4" in shown.to_text()
    assert "[thinking] thinking" in shown.to_text()


def test_nothing_launched_is_shown_with_its_reason():
    """Server, log and stop all say the same."""
    nothing = NotLaunched("No GPU.", "Rent one.")
    assert "Nothing was launched.\nNo GPU. Rent one." == show_server(nothing).to_text()
    assert "nothing was launched" in show_log(nothing).to_text()
    assert "nothing to stop" in show_stopped(nothing).to_text()
