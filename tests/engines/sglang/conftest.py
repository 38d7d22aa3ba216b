"""Asks SGLang's own parser: one process in an environment of its own answers any number of questions."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from pathlib import Path
from threading import Timer

import pytest
from tools.engines import python_of

from seatrial.catalog import find_checkpoint, model_of

PARSE = Path(__file__).with_name("parse.py")
LONGEST_S = 900.0
"""Time after which a parser that hangs is ended."""
HEAD = 3
"""Words of a command before its flags: python -m sglang.launch_server."""
KEY = "0123456789abcdef"
SAID = "said.txt"


class Parser:
    """The process, and the folders it is pointed at: a config.json for each checkpoint, no weights."""

    def __init__(self, process, folder):
        self.process = process
        self.folder = folder
        self.key_file = folder / "key.yaml"

    def ask(self, questions):
        """Return one answer for each question; later questions may be made while earlier ones are answered."""
        try:
            with ThreadPoolExecutor(1) as pool:
                answers = pool.submit(self._read)
                try:
                    for question in questions:
                        self._write(json.dumps(question))
                finally:
                    self._write("")  # the end, whatever came between: the reader waits for it
                return answers.result()
        except BrokenPipeError:
            pytest.fail(f"SGLang's parser ended: {(self.folder / SAID).read_text()[-2000:]}")

    def _write(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def _read(self):
        lines = iter(self.process.stdout.readline, "")
        return [json.loads(line) for line in takewhile(str.strip, lines)]

    def model_path(self, checkpoint_id):
        """Return a folder with the checkpoint's config.json."""
        folder = self.folder / checkpoint_id.replace("/", "--")
        if not folder.exists():
            folder.mkdir()
            row = find_checkpoint(checkpoint_id)
            (folder / "config.json").write_text(json.dumps(model_of(row).config | row.config))
        return folder

    def question(self, plan, command):
        """Return the question about a command on the GPUs of the plan, as the first of its ranks."""
        if not self.key_file.exists():  # written once: it may be read just now
            self.key_file.write_text(command.key_file_text.format(key=KEY))
        filled = {"{port}": "30000", "{key_file}": str(self.key_file)}
        filled |= {"{node_rank}": "0", "{head_address}": "127.0.0.1"}
        argv = list(command.argv[HEAD:])
        for place, value in filled.items():
            argv = [word.replace(place, value) for word in argv]
        gpu = plan.hardware.gpus[0]
        machine = {"architecture": gpu.compute_capability, "memory_bytes": gpu.memory_bytes}
        return {"argv": argv, "env": dict(command.env), "gpu": machine}


@pytest.fixture(scope="session")
def parser(tmp_path_factory):
    """Yield SGLang's running parser, None if its environment was not made."""
    python = python_of("sglang")
    if python is None:
        yield None
        return
    folder = tmp_path_factory.mktemp("sglang")
    with (
        (folder / SAID).open("w") as said,
        subprocess.Popen(
            [python, PARSE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True
        ) as process,
    ):
        watch = Timer(LONGEST_S, process.kill)
        watch.start()
        try:
            yield Parser(process, folder)
        finally:
            watch.cancel()
            process.kill()


@pytest.fixture
def sglang(parser, require):
    """Return SGLang's parser; skip the test if it is not installed."""
    require("sglang parser")
    return parser
