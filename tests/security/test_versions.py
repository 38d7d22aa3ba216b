"""Minimum safe versions are data, without any advisory service."""

import re
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

from seatrial.catalog.engine_facts import engine_facts, engine_ids, is_older
from seatrial.engines.types import Command
from seatrial.errors import RefusedError
from seatrial.programs.find import resolve_program
from seatrial.programs.vulnerabilities import known_vulnerabilities

ROOT = Path(__file__).resolve().parents[2]
CVE = re.compile(r"CVE-20\d\d-\d{4,5}")
OLD = [
    ("sglang", "0.5.9", {"CVE-2026-3059", "CVE-2026-3060", "CVE-2026-3989"}),
    ("sglang", "0.4.0", {"CVE-2026-3059", "CVE-2026-3060", "CVE-2026-3989"}),
    ("vllm", "0.17.1", {"CVE-2026-22807", "CVE-2026-22778", "CVE-2026-27893"}),
    ("vllm", "0.14.0", {"CVE-2026-22807", "CVE-2026-22778", "CVE-2026-27893"}),
    ("llama-server", "8145", {"CVE-2026-27940"}),
    ("llama-server", "4000", {"CVE-2026-27940"}),
    ("llama_cpp.server", "0.3.35", {"CVE-2026-27940"}),
    ("xllamacpp", "2026.9", {"CVE-2026-27940"}),
]
TOO_OLD = [("sglang", "0.5.22"), ("vllm", "0.32.9"), ("llama-server", "9839")]
ENOUGH = [("sglang", "0.5.23"), ("vllm", "0.33.0"), ("llama_cpp.server", "0.3.36")]


@pytest.fixture
def installed(tmp_path):
    """Write a program that reports an engine and version; return the command that starts it."""

    def make(name, version):
        says = {"llama-server": f"version: {version} (abc)", "vllm": version}.get(name, f"\n{version}")
        path = tmp_path / ("python3" if name in {"sglang", "xllamacpp", "llama_cpp.server"} else name)
        path.write_text(f"#!/bin/sh\ncat <<'END'\n{says}\nEND\n")
        path.chmod(0o755)
        argv = {
            "sglang": (str(path), "-m", "sglang.launch_server"),
            "xllamacpp": (str(path), "-m", "seatrial.xllamacpp_server"),
            "llama_cpp.server": (str(path), "-m", "llama_cpp.server"),
            "vllm": (str(path), "serve", "model"),
        }.get(name, (str(path),))
        engine = "llamacpp" if "llama" in name else name
        return Command(engine=engine, argv=argv, model="m", program=name)

    return make


@pytest.mark.parametrize(("name", "version", "ids"), OLD)
def test_an_engine_with_known_holes_is_refused_by_their_names(installed, name, version, ids):
    """The message has the CVE ids, and the version to install instead."""
    with pytest.raises(RefusedError) as caught:
        resolve_program(installed(name, version))
    assert ids == set(CVE.findall(caught.value.what))
    assert caught.value.remedy


@pytest.mark.parametrize(("name", "version"), TOO_OLD)
def test_an_engine_below_the_safe_version_is_refused(installed, name, version):
    """The message has both versions."""
    with pytest.raises(RefusedError, match=re.escape(version)):
        resolve_program(installed(name, version))


@pytest.mark.parametrize(("name", "version"), ENOUGH)
def test_the_safe_version_itself_is_started(installed, name, version):
    """The bound is the oldest that is good."""
    command = installed(name, version)
    assert command.argv == resolve_program(command)


def test_the_bounds_are_those_agreed_upon():
    """One row an engine; a change here is a change of what is safe."""
    safe = {engine: engine_facts(engine).versions.safe for engine in engine_ids()}
    assert {"sglang": "0.5.23", "vllm": "0.33.0", "llamacpp": "b9840", "mlx": "0.7.10", "simulated": None} == safe
    python = next(row for row in engine_facts("llamacpp").programs if row.runner == "llama_cpp.server")
    assert "0.3.36" == python.minimum


@pytest.mark.parametrize("engine", [name for name in engine_ids() if engine_facts(name).versions.vulnerabilities])
def test_every_hole_has_ids_a_source_and_lies_below_the_safe_version(engine):
    """So that no version with one is ever started."""
    versions = engine_facts(engine).versions
    assert versions.source
    assert versions.checked
    for hole in versions.vulnerabilities:
        assert hole.ids
        assert all(CVE.fullmatch(one) for one in hole.ids)
        assert hole.below is None or is_older(hole.below, versions.safe) or hole.below == versions.safe


def test_every_engine_says_what_it_leaves_open():
    """Its gaps are data: engines, doctor and the docs show the same ones."""
    assert all(engine_facts(name).versions.gaps for name in engine_ids())


def test_a_hole_that_every_version_has_refuses_a_flag_and_no_version():
    """SGLang's logit processors: the newest version has them too."""
    assert () == known_vulnerabilities("sglang.launch_server", "0.5.23")
    assert ("CVE-2026-7304",) == next(
        hole.ids for hole in engine_facts("sglang").versions.vulnerabilities if hole.below is None
    )


def test_a_program_nobody_knows_has_no_known_holes():
    """It is somebody's own."""
    assert () == known_vulnerabilities("my-server", "0.0.1")
    command = Command(engine="own", argv=(sys.executable, "server.py"), model="m")
    assert replace(command).argv == resolve_program(command)


def test_jupyter_server_is_new_enough():
    """2.18 in every place that names it: the package's own metadata, the lock, and what is installed here."""
    wanted = [line for line in metadata.requires("seatrial") if line.startswith("jupyter-server")]
    assert wanted
    assert all(">=2.18" in line.replace(" ", "") for line in wanted)
    pins = re.findall(r"^jupyter[-_]server==([\d.]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert pins
    assert not [pin for pin in pins if is_older(pin, "2.18")]
    assert not is_older(metadata.version("jupyter-server"), "2.18")
