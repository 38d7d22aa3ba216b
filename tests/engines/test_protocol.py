"""What an engine is made of: each one here is whole, and a new one needs one module and one data file."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import ROOT
from tests.engines.protocol_check import DATA, MODULES, found_anywhere, missing, unread
from tests.gguf_bytes import small

from seatrial.catalog.engine_facts import engine_facts, engine_ids
from seatrial.engines import ENGINES

HERE = Path(__file__).parent
FAKE = HERE.parent / "server" / "fake_engine.py"
TRY = """
import json
import os
from pathlib import Path
from seatrial.catalog.engine_facts import engine_ids
from seatrial.engines import ENGINES, build_command
from seatrial.hardware import detect_hardware
from seatrial.memory import compute_footprint
from seatrial.catalog import find_checkpoint
from seatrial.plan import make_plan
from seatrial.launching import launch
from seatrial.programs.inventory import list_engines

plan = make_plan("smollm2", hardware=detect_hardware("cpu"), engine="toy")
same = make_plan("smollm2", hardware=detect_hardware("cpu"), engine="llamacpp")
(row,) = [row for row in list_engines() if row.engine == "toy"]
phases = []
with launch(plan, name="toy", model_path=Path(os.environ["WEIGHTS"]), on_event=lambda event: phases.append(event.phase)) as server:
    state, metrics = server.state, server.metrics()
print(json.dumps({
    "ids": list(engine_ids()), "engines": list(ENGINES), "runs": plan.runs, "engine": plan.engine,
    "minimum": plan.engine_version_min, "first_reason": plan.reasons[0].text,
    "bytes": plan.footprint.total_bytes == same.footprint.total_bytes,
    "footprint": compute_footprint(find_checkpoint("smollm2"), engine="toy").total_bytes > 0,
    "argv": list(build_command(plan).argv), "row": [row.state, row.version, row.runs_v4], "state": state,
    "metrics": metrics, "phases": phases,
}))
"""


@pytest.fixture
def tree(tmp_path):
    """Copy the files that describe engines in this project, without any engine's environment."""
    for name in ("lib/seatrial", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.fixture
def toy(tree):
    """Add a made-up engine to that copy: one module and one data file."""
    shutil.copy(HERE / "toy.py", tree / MODULES / "toy.py")
    shutil.copy(HERE / "toy.toml", tree / DATA / "toy.toml")
    return tree


@pytest.fixture
def toy_serve(tmp_path):
    """Its program: says its version, else it is the scripted engine."""
    path = tmp_path / "toy-serve"
    path.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo "toy 1.2.3" && exit\n'
        f'exec {sys.executable} {FAKE} --say "winding up 1 of 2" --healthy-after-s 0.3 "$@"\n'
    )
    path.chmod(0o755)
    return path


def run(tree, code, **settings):
    """Run Python with the copy in place of the project."""
    environment = os.environ | {"PYTHONPATH": str(tree / "lib")} | settings
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tree)


@pytest.mark.parametrize("engine", found_anywhere(ROOT))
def test_every_engine_is_whole(engine):
    """What it lacks is listed, file by file and table by table."""
    lacks = [*missing(ROOT, engine), *unread(ROOT, engine)]
    assert [] == lacks, f"{engine} lacks:\n  " + "\n  ".join(lacks)


def test_every_engine_found_is_known():
    """Modules and data files are the list of engines: there is no other."""
    assert set(found_anywhere(ROOT)) == set(engine_ids()) == set(ENGINES)
    for name, engine in ENGINES.items():
        assert (name, engine_facts(name)) == (engine.id, engine.facts)
    orders = [engine_facts(name).planning.order for name in engine_ids()]
    assert sorted(set(orders)) == orders


def test_what_a_new_engine_lacks_is_listed(toy):
    """With a module and a data file it runs; this is what makes it whole."""
    expected = [
        "pyproject.toml: seatrial.engines.toy is not in the contract that engines are independent",
        "[install]: missing",
        "lib/seatrial/engines/flags/toy.json: no snapshot of its flags",
        "lib/seatrial/engines/options/toy.toml: no list of options that may be added",
        "docs/engines.md: does not name it",
    ]
    assert expected == missing(toy, "toy")


@pytest.mark.parametrize(
    ("cut", "says"),
    [
        ('[planning]\norder = 9\nlike = "llamacpp"\n', "[planning]: missing"),
        ('like = "llamacpp"\n', "[planning]: neither formats nor like"),
        ('none = "it counts nothing"\n', "[metrics]: neither running nor none, which says why there are none"),
        (
            'unrestricted = "it computes nothing"\n',
            "[[requires]]: missing, and unrestricted does not say why nothing is required",
        ),
        ('why = "the first that answers"\n', "[versions]: no why"),
    ],
)
def test_each_table_is_asked_for(toy, cut, says):
    """What was taken out of the data file is what is said."""
    path = toy / DATA / "toy.toml"
    text = path.read_text()
    assert cut in text
    path.write_text(text.replace(cut, ""))
    assert says in missing(toy, "toy")


@pytest.mark.parametrize(
    ("gone", "says"),
    [
        (f"{MODULES}/toy.py", "lib/seatrial/engines/toy.py: no module that writes its command"),
        (f"{DATA}/toy.toml", "lib/seatrial/catalog/engines/toy.toml: no data file"),
    ],
)
def test_half_an_engine_is_found_by_the_other_half(toy, gone, says):
    """Whichever of the two is there, the test asks for the other."""
    (toy / gone).unlink()
    assert "toy" in found_anywhere(toy)
    assert says in missing(toy, "toy")


def test_a_data_file_without_a_module_is_said(toy):
    """Nothing would start it, so the package says what is missing instead of failing later."""
    (toy / MODULES / "toy.py").unlink()
    done = run(toy, "import seatrial.engines")
    assert "toy has a data file, but no module seatrial.engines.toy" in done.stderr


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("[planning]\norder = 9\n", "[planning]\n", "missing required field `order`"),
        ("order = 9\n", 'order = "last"\n', "Expected `int`, got `str`"),
        ("order = 9\n", "order = [\n", "Invalid value"),
    ],
)
def test_a_data_file_that_cannot_be_used_is_named(toy, before, after, says):
    """Which file, what is wrong with it, and where it is told what belongs there."""
    path = toy / DATA / "toy.toml"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    done = run(toy, "from seatrial.cli.main import main; raise SystemExit(main(['engines']))")
    assert (2, "") == (done.returncode, done.stdout)
    assert all(part in done.stderr for part in (f"{DATA}/toy.toml", says, "docs/adding-an-engine.md"))


def test_what_nobody_reads_is_listed(toy):
    """A misspelt field would do nothing, without a word."""
    path = toy / DATA / "toy.toml"
    path.write_text(path.read_text().replace("[planning]\n", "[planning]\nautomatc = true\n"))
    assert ["[planning]: nobody reads automatc"] == unread(toy, "toy")


@pytest.mark.parametrize("engine", engine_ids())
def test_every_pattern_is_a_regular_expression(engine):
    """One that is none would fail in the middle of a launch."""
    facts = engine_facts(engine)
    rows = (*facts.failures, *facts.phases)
    for pattern in (*(row.pattern for row in rows), *(row.version_pattern for row in facts.programs)):
        re.compile(pattern or "")


def test_one_module_and_one_data_file_make_an_engine(toy, toy_serve, monkeypatch, tmp_path):
    """It is listed, planned like the engine it names, found with its version, launched, watched and stopped."""
    monkeypatch.setenv("SEATRIAL_STATE", str(tmp_path / "state"))
    weights = tmp_path / "weights.gguf"
    weights.write_bytes(small())
    done = run(toy, TRY, SEATRIAL_TOY=str(toy_serve), WEIGHTS=str(weights))
    assert 0 == done.returncode, done.stderr
    told = json.loads(done.stdout)
    assert "toy" in told["ids"]
    assert told["ids"] == told["engines"]
    assert (True, "toy", "1.2.0", True, True) == tuple(
        told[name] for name in ("runs", "engine", "minimum", "bytes", "footprint")
    )
    assert "toy is planned as llamacpp is" in told["first_reason"]
    assert "toy-serve" == told["argv"][0]
    assert ["ready", "1.2.3", True] == told["row"]
    assert ("ready", None) == (told["state"], told["metrics"])
    assert "winding up" in told["phases"]


def test_its_old_version_is_refused_with_its_holes(toy, tmp_path):
    """Versions and holes are data of the same file."""
    path = tmp_path / "toy-serve"
    path.write_text("#!/bin/sh\necho toy 1.0.9\n")
    path.chmod(0o755)
    code = (
        "from seatrial.hardware import detect_hardware; from seatrial.plan import make_plan;"
        "from seatrial.programs.find import installed_command;"
        "installed_command(make_plan('smollm2', hardware=detect_hardware('cpu'), engine='toy'))"
    )
    done = run(toy, code, SEATRIAL_TOY=str(path))
    assert "toy 1.0.9 is installed, but 1.2.0 or newer is needed" in done.stderr
    assert "CVE-0000-0001" in done.stderr
