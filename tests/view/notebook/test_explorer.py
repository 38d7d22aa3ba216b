"""The plan explorer: every control changes the plan and the page, nothing impossible breaks it, and all text stays text."""

import ast
import json
from dataclasses import replace
from itertools import pairwise

import nbformat
import pytest
from markupsafe import escape
from nbconvert import HTMLExporter

from seatrial.errors import UnknownNameError, UsageError
from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan
from seatrial.records import Reason, to_dict
from seatrial.view import plan_explorer
from seatrial.view.chart.chart import PLOTLY_MIME
from seatrial.view.notebook.explorer import ExplorerChoice, command_of
from seatrial.view.notebook.explorer_choices import CONTEXTS, checkpoint_options, find_choice, machines
from seatrial.view.notebook.explorer_html import error_html, plan_html
from seatrial.view.tables.badges import ORIGIN_BADGES

EXPLORER = """\
from seatrial.view import plan_explorer
explorer = plan_explorer("h200x4", context_tokens=5000)
explorer"""
TURN = """\
controls, said = explorer._controls, []
def turn(name, value):
    controls[name].value = value
    said.append((name, explorer.plan.model, explorer.plan.hardware.name, explorer.plan.verdict, explorer._page.value))
turn("model", "pro")
turn("checkpoint", "unsloth/DeepSeek-V4-Pro-0813-GGUF:UD-Q8_K_XL")
turn("model", "flash")
turn("machine", "m3-ultra-512gb")
turn("machine", "rtx4090")
turn("gpus", 2)
turn("host_memory_gib", 128)
turn("context_tokens", 1048576)
turn("concurrency", 64)
turn("engine", "sglang")
turn("objective", "throughput")
turn("nodes", 4)
said"""
STATE = """\
turn("machine", "m3-ultra-512gb")
[controls["gpus"].disabled, controls["host_memory_gib"].disabled, controls["checkpoint"].value, explorer._choice().host_memory_gib]"""
CLASH = """\
from seatrial.view.notebook import explorer_choices
controls["checkpoint"].options = [("a wrong one", "<b>nobody</b>/nothing")]
[explorer.plan.hardware.name, explorer._page.value]"""


def plain(outputs):
    """Return the text form of outputs."""
    return "\n".join(output.get("data", {}).get("text/plain", "") for output in outputs)


def test_headless_the_explorer_shows_its_plan(run_cells):
    """Verdict, memory, command as a table, then the bars."""
    (shown,) = run_cells(EXPLORER, headless=True)
    assert "on h200x4 with SGLang: " in plain(shown)
    assert "--context-length=5000" in plain(shown)
    assert PLOTLY_MIME in shown[1].data


def test_a_saved_notebook_shows_the_plan_where_no_widget_lives(run_cells):
    """Beside the widget stand its page and its text, so that an export without widgets shows the plan."""
    (shown,) = run_cells(EXPLORER, headless=False)
    (data,) = [output.data for output in shown]
    assert {"application/vnd.jupyter.widget-view+json", "text/html", "text/plain"} == set(data)
    assert "on h200x4 with SGLang: " in data["text/plain"]
    cell = nbformat.v4.new_code_cell(EXPLORER, outputs=shown)
    page, _ = HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    assert "--context-length=5000" in page
    assert '<div class="st-verdict"' in page


def test_every_control_changes_the_plan_at_once(run_cells):
    """Machine, checkpoint, context, load, engine and objective; what a machine cannot have is greyed out."""
    _, turned, state, clash = run_cells(EXPLORER, TURN, STATE, CLASH, headless=False)
    said = {name: rest for name, *rest in ast.literal_eval(plain(turned))}
    assert ["flash", "rtx4090x2", "refused"] == said["objective"][:3]
    assert "m3-ultra-512gb" not in said["gpus"][1]
    assert "Refused by the engine" in said["engine"][3]
    assert "Host" in said["host_memory_gib"][3]
    assert all("<svg" in page and "Why</h4>" in page for *_, page in said.values())
    assert [True, True, "auto", 0] == ast.literal_eval(plain(state))
    name, page = ast.literal_eval(plain(clash))
    assert "m3-ultra-512gb" == name
    assert "No plan" in page
    assert "<b>nobody" not in page


def test_an_unknown_machine_is_an_error_at_once():
    """A parameter that is wrong is not hidden in a widget."""
    with pytest.raises(UnknownNameError):
        plan_explorer("h2O0x4")


@pytest.mark.parametrize("machine", machines().values(), ids=lambda machine: machine.key)
def test_every_machine_that_is_offered_can_be_planned_for(machine):
    """No choice of the list ends in an error, with few GPUs or many, one machine or several."""
    for _, count in (machine.counts()[0], machine.counts()[-1]):
        for nodes in (1, 8):
            wish = ExplorerChoice(machine.named(count), nodes, 0, "flash", "auto", "auto", 1048576, 1024, "balanced")
            plan = wish.plan()
            assert plan.verdict in {"verified", "fits", "does_not_fit", "refused"}
            assert "<svg" in plan_html(plan, command_of(plan))


@pytest.mark.parametrize("engine", ["sglang", "vllm", "llamacpp"])
@pytest.mark.parametrize("model", ["flash", "pro"])
def test_every_checkpoint_that_is_offered_can_be_planned_for(model, engine):
    """Also on an engine that cannot load it: that is a verdict with its reason."""
    for _, checkpoint in checkpoint_options(model)[1:]:
        plan = ExplorerChoice("h200x8", 1, 0, model, checkpoint, engine, 8192, 1, "latency").plan()
        assert plan.reasons


def test_a_machine_is_found_in_the_list_by_its_name():
    """Accelerator and count; a mixture is an entry of its own."""
    for name, expected in (
        ("h200x4", ("h200", 4)),
        ("m3-ultra-512gb", ("m3-ultra-512gb", 1)),
        ("cpu", ("cpu", 1)),
        ("h100x4+l40sx1", ("h100x4+l40sx1", 1)),
        ("h100x3", ("h100", 3)),
    ):
        machine, count = find_choice(detect_hardware(name), name)
        assert expected == (machine.key, count)
        assert detect_hardware(name).name == detect_hardware(machine.named(count)).name


def test_a_file_s_machine_is_an_entry_of_its_own(tmp_path, monkeypatch):
    """Its path is kept as it is written, and the machine stays the one of the file, with its own memory."""
    monkeypatch.chdir(tmp_path)
    node = replace(detect_hardware("h200x4", host_memory_gib=512), origin="measured")
    (tmp_path / "Node.json").write_text(json.dumps(to_dict(node)))
    machine, count = find_choice(detect_hardware("Node.json"), "Node.json")
    assert node.host == detect_hardware(machine.named(count)).host


def test_the_context_slider_reaches_a_million_in_even_steps():
    """From 2,048 to 1,048,576, no step more than a half."""
    assert (2048, 1048576) == (CONTEXTS[0], CONTEXTS[-1])
    assert max(after / before for before, after in pairwise(CONTEXTS)) <= 1.5


def test_the_page_tells_verdict_speed_command_and_why():
    """In words, with a mark for each origin, and the speed called predicted."""
    plan = make_plan("flash", hardware=detect_hardware("h200x4"))
    page = plan_html(plan, command_of(plan))
    assert "★ Runs: a vendor ran exactly this" in page
    assert "Predicted, not measured" in page
    for origin in ("derived", "verified"):
        assert f"{ORIGIN_BADGES[origin].sign}&nbsp;{origin}</span>" in page
    assert escape(command_of(plan).splitlines()[1].strip()) in page
    assert [] == [reason.text for reason in plan.reasons if escape(reason.text) not in page]


@pytest.mark.parametrize(
    ("nodes", "last"), [(2, "# Machine 2 of 2."), (6, "# Machines 3 to 6: as machine 2, with ranks 2 to 5.")]
)
def test_several_machines_show_a_command_each(nodes, last):
    """Whole, however long; of many machines two, and how the others differ."""
    plan = make_plan("pro", hardware=detect_hardware("b200x8"), nodes=nodes, engine="sglang", recipes=False)
    page, text = plan_html(plan, command_of(plan)), command_of(plan)
    assert escape(text) in page
    assert "Command of each machine" in page
    assert "{head_address} is the address" in page
    assert last in text
    assert (1, 1) == (text.count("--node-rank=0"), text.count("--node-rank=1"))


def test_a_plan_that_does_not_run_says_by_how_much_and_what_would_help():
    """No speed, no command; the smallest change instead."""
    plan = make_plan("pro", hardware=detect_hardware("h100x2"), engine="sglang")
    page = plan_html(plan, command_of(plan))
    assert "✗ Does not fit: " in page
    assert escape(plan.smallest_change) in page
    assert "Predicted" not in page
    assert "<pre>" not in page


def test_text_from_outside_stays_text():
    """Names, reasons and errors are escaped, and what cannot be seen is gone."""
    hostile = '<img src=x onerror="alert(1)">\x1b[31m\u202e'
    plan = make_plan("flash", hardware=detect_hardware("h200x4"))
    hardware = replace(plan.hardware, name=hostile)
    bad = replace(plan, checkpoint=hostile, hardware=hardware, reasons=(Reason(hostile, "derived", hostile),))
    for page in (plan_html(bad, hostile), error_html(UsageError(hostile, remedy=hostile))):
        assert "<img" not in page
        assert not {"\x1b", "\u202e"} & set(page)


def test_a_machine_with_an_odd_number_of_gpus_keeps_it(run_cells):
    """Three cards are three cards, also after another control was moved; and a machine that is named whole has no count."""
    cells = (
        'from seatrial.view import plan_explorer\nexplorer = plan_explorer("h100x3")',
        "explorer._controls['concurrency'].value = 8\nexplorer.plan.hardware.name",
        "explorer._controls['machine'].value = 'm3-ultra-512gb'\nexplorer._controls['gpus'].label",
    )
    _, odd, whole = run_cells(*cells, headless=False)
    assert ("'h100x3'", "'as it is'") == (plain(odd), plain(whole))


def test_the_nearest_recipe_and_its_differences_stand_below_the_command():
    """Where a vendor ran something like it, the page says what, and how this differs."""
    plan = make_plan("flash", hardware=detect_hardware("h100x4"))
    page = plan_html(plan, command_of(plan))
    assert plan.recipe.differences
    assert [] == [text for text in plan.recipe.differences if escape(text) not in page]
    assert "Chat: " in page
