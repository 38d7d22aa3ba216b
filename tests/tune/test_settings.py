"""Settings in a command: in the spelling the program takes, nothing else touched."""

import pytest

from seatrial.engines import ENGINES, build_command
from seatrial.engines.settings import applies, apply_settings, settings_of, value_of
from seatrial.errors import UnknownNameError, UsageError
from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan


def command(runner="xllamacpp", concurrency=2):
    """llama.cpp's command on a machine without a GPU."""
    plan = make_plan("smollm2", hardware=detect_hardware("cpu"), engine="llamacpp", concurrency=concurrency)
    return build_command(plan, runner=runner)


def test_a_flag_is_replaced_where_it_stands():
    """Joined for the embedded server, apart for the native one, by its own name for llama-cpp-python."""
    settings = {"ubatch-size": "256"}
    native = apply_settings(command("llama-server"), settings).argv

    assert "--ubatch-size=256" in apply_settings(command(), settings).argv
    assert "256" == native[native.index("--ubatch-size") + 1]
    assert "--n_ubatch=256" in apply_settings(command("llama_cpp.server"), settings).argv


def test_a_flag_that_was_not_there_is_added():
    """At the end, in the spelling of the others."""
    assert ("--flash-attn", "on") == apply_settings(command("llama-server"), {"flash-attn": "on"}).argv[-2:]
    assert "--flash-attn=on" == apply_settings(command(), {"flash-attn": "on"}).argv[-1]


def test_a_variable_goes_into_the_environment():
    """The others stay."""
    before = command()

    after = apply_settings(before, {"spin": "100"})

    assert before.argv == after.argv
    assert {**before.env, "GOMP_SPINCOUNT": "100"} == after.env


def test_more_slots_keep_the_context_of_each_request():
    """The context all slots share grows in step."""
    after = apply_settings(command(), {"parallel": "3"})
    rows = settings_of("llamacpp")
    of_one = int(value_of(command(concurrency=1), rows["parallel"]))

    assert 1 == of_one
    assert "3" == value_of(after, rows["parallel"])
    one, three = (next(word for word in one.argv if "--ctx-size" in word) for one in (command(concurrency=1), after))
    assert 3 * int(one.partition("=")[2]) == int(three.partition("=")[2])


def test_a_setting_the_program_lacks_changes_nothing():
    """llama_cpp.server has one slot and no switch for flash attention."""
    before = command("llama_cpp.server")

    assert before == apply_settings(before, {"flash-attn": "on", "parallel": "4"})


@pytest.mark.parametrize("value", ["", "-1", "1 --host=0.0.0.0", "$(x)", "a" * 40, "1\n2"])
def test_a_value_that_is_none_is_refused(value):
    """A file somebody else wrote can put nothing but plain words and numbers into a command."""
    with pytest.raises(UsageError, match="threads"):
        apply_settings(command(), {"threads": value})


def test_an_unknown_setting_is_refused():
    """Only what stands in the engine's data file."""
    with pytest.raises(UnknownNameError):
        apply_settings(command(), {"log-file": "x"})


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_every_row_says_where_it_acts_and_where_it_is_from(engine):
    """A flag or a variable, what it does, a source and a date."""
    for row in settings_of(engine).values():
        assert bool(row.flag) != bool(row.variable)
        assert row.what
        assert row.source
        assert row.checked


def test_every_flag_is_one_the_engine_knows():
    """What may be tuned is accepted by the version the kit was written for."""
    from seatrial.engines.snapshot import rejected

    for runner in ("xllamacpp", "llama_cpp.server"):
        before = command(runner)
        rows = settings_of("llamacpp").values()
        flags = {row.name: "on" if row.name == "flash-attn" else "q8_0" if row.answers else "2" for row in rows}
        after = apply_settings(before, {row.name: flags[row.name] for row in rows if applies(row, before)})
        assert not rejected("llamacpp", after.flags)
