"""Measure what a live panel costs in JupyterLab: the kernel's CPU time, the page's frames, the bytes of the saved notebook.

    python tools/bench_panel.py                 the panel's canvases, then plotly's FigureWidget, with the same lines

Each draws 8 lines of 600 points and one point more four times a second, for twenty seconds, in a headless Chromium.
Needs the test packages and a Chromium. Prints a table; nothing is asserted.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

SECONDS, RATE, POINTS, LINES = 20, 4, 600, 8
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/lab")

CANVAS = f"""
import math
from seatrial.view.notebook.panel_widget import PanelWidget
from seatrial.view.plots.run_rows import COLUMNS, RunRows
from IPython.display import display
run, status = RunRows(), dict(headline="100 tok/s", detail="", detail_short="", label="", simulated=False, error="",
    runs=[], running=True, steered=True, streams=4, share=0.5)
page = PanelWidget(lambda message: page.show(run, [], status, whole=True),
    dict(streams=4, most_streams=64, prompt_tokens=64, answer_tokens=64))
def add(at):
    row = [math.nan] * COLUMNS
    row[0] = at / {RATE}
    for line in range(1, {LINES} + 3):
        row[line if line < 3 else line + 2] = 100 + 20 * math.sin(at / 20 + line)
    run.rows.append(tuple(row))
for at in range({POINTS}):
    add(at)
display(page.bundle(), raw=True)
def draw(at):
    add(at)
    page.show(run, [], status)
"""
FIGURE = f"""
import math, numpy
from plotly.graph_objects import FigureWidget
x = numpy.arange({POINTS}, dtype=numpy.float32)
def lines(at):
    return [(100 + 20 * numpy.sin((x + at) / 20 + line)).astype(numpy.float32) for line in range({LINES})]
figure = FigureWidget(data=[dict(type="scatter", mode="lines", x=x, y=y) for y in lines(0)])
display(figure)
def draw(at):
    with figure.batch_update():
        for trace, y in zip(figure.data, lines(at)):
            trace.y = y
"""
LOOP = f"""
import threading, time
took = []
def loop():
    begin, cpu = time.perf_counter(), time.process_time()
    for at in range({POINTS}, {POINTS} + {SECONDS * RATE}):
        draw(at)
        time.sleep(max(begin + (at - {POINTS} + 1) / {RATE} - time.perf_counter(), 0))
    took.append((time.process_time() - cpu) / (time.perf_counter() - begin))
thread = threading.Thread(target=loop)
thread.start()
"""
FRAMES = """() => { window.gaps = []; let last = performance.now();
  const frame = (now) => { window.gaps.push(now - last); last = now; requestAnimationFrame(frame); };
  requestAnimationFrame(frame); }"""
RUN = """(index) => { const notebook = window.jupyterapp.shell.currentWidget.content; notebook.activeCellIndex = index;
  return window.jupyterapp.commands.execute('notebook:run-cell'); }"""
READY = """() => { const session = window.jupyterapp?.shell.currentWidget?.context?.sessionContext;
  return Boolean(session?.isReady && session.session?.kernel?.status === 'idle'); }"""
TEXT = (
    """(index) => window.jupyterapp.shell.currentWidget.content.widgets[index].model.outputs.toJSON()[0]?.text ?? ''"""
)


def main() -> int:
    """Measure both, and print a row for each."""
    print("| | kernel, share of a core | frames per second | longest frame | saved notebook |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, jupyterlab(Path(folder)) as address, sync_playwright() as player:
        program = shutil.which("chromium") or shutil.which("google-chrome")
        browser = player.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        for widget in (("canvas", CANVAS, ".seatrial-live canvas"), ("FigureWidget", FIGURE, ".js-plotly-plot")):
            print(measure(browser, Path(folder), address, widget))
        browser.close()
    return 0


def measure(browser: Browser, folder: Path, address: str, widget: tuple[str, str, str]) -> str:
    """Return the row of one widget: its name, the cell that shows it, and a selector of what it draws."""
    name, cell, ready = widget
    write(folder / f"{name}.ipynb", cell, LOOP, "thread.join(); print(took[0])")
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(60_000)
    page.goto(f"{address}/lab/tree/{name}.ipynb?reset")
    page.wait_for_function(READY)
    page.evaluate(RUN, 0)
    page.locator(ready).first.wait_for()
    page.evaluate(FRAMES)
    page.evaluate(RUN, 1)
    page.evaluate(RUN, 2)
    page.wait_for_function(f"() => ({TEXT})(2).length > 0")
    share, gaps = float(page.evaluate(TEXT, 2)), page.evaluate("() => window.gaps")
    page.close()
    rate = 1e3 * len(gaps) / sum(gaps)
    return f"| {name} | {share:.1%} | {rate:.0f} | {max(gaps):.0f} ms | {saved_bytes(folder, cell):,} bytes |"


def saved_bytes(folder: Path, cell: str) -> int:
    """Return the bytes of a notebook of this cell as plain papermill saves it."""
    write(folder / "plain.ipynb", cell)
    command = [sys.executable, "-m", "papermill", str(folder / "plain.ipynb"), str(folder / "saved.ipynb")]
    subprocess.run(command, check=True, capture_output=True)
    return (folder / "saved.ipynb").stat().st_size


def write(path: Path, *sources: str) -> None:
    """Write a notebook of code cells."""
    empty: dict[str, object] = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    cells = [{**empty, "id": f"cell-{index}", "source": source} for index, source in enumerate(sources)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    document = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(document), encoding="utf-8")


@contextlib.contextmanager
def jupyterlab(folder: Path) -> Iterator[str]:
    """Start JupyterLab on a folder; yield its address."""
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--port=0", "--ServerApp.port_retries=0",
        "--IdentityProvider.token=", "--ServerApp.password=", "--LabApp.expose_app_in_browser=True",
        "--ServerApp.disable_check_xsrf=True", f"--ServerApp.root_dir={folder}", "--allow-root",
    ]  # fmt: skip
    process = subprocess.Popen(command, env=os.environ | {"SEATRIAL_HEADLESS": ""}, stderr=subprocess.PIPE, text=True)
    try:
        found = next(match for line in process.stderr or () if (match := ADDRESS.search(line)))
        yield f"http://127.0.0.1:{found[1]}"
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
