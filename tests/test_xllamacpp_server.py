"""The default engine's own process: its first line comes at once, before llama.cpp is loaded."""

import os
import subprocess
import sys

STAND_IN = """
import sys
print("loaded", *sorted(name for name in sys.modules if name.startswith("seatrial")))
sys.exit()
"""


def test_its_first_line_comes_before_llama_cpp_is_loaded(tmp_path):
    """A person who waits sees what happens; until then nothing of the kit is loaded besides the program itself."""
    (tmp_path / "xllamacpp.py").write_text(STAND_IN)
    argv = [sys.executable, "-m", "seatrial.xllamacpp_server", "--model=m.gguf", "--alias=small", "--port=1"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    output = subprocess.run(argv, capture_output=True, text=True, check=True, env=environment)
    assert "seatrial.xllamacpp_server: loading llama.cpp to serve small\n" == output.stderr
    assert "loaded seatrial\n" == output.stdout
