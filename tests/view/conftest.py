"""A browser without network, for pages that must need none, and a kernel to run cells in."""

import contextlib
import os
import shutil

import nbformat
import pytest
from nbclient import NotebookClient

from seatrial.view.notebook.live import HEADLESS


@pytest.fixture
def open_page(require, tmp_path):
    """Open HTML in a headless Chromium with JavaScript off for the page; gives the page, its complaints and requests."""
    require("chromium")
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with contextlib.ExitStack() as stack:
        browser = stack.enter_context(sync_playwright()).chromium.launch(executable_path=program, args=["--no-sandbox"])
        stack.callback(browser.close)

        def show(html, width=1280, scheme="light"):
            file = tmp_path / "shown.html"
            file.write_text(html, encoding="utf-8")
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            page.noted = []
            page.on("console", lambda message: page.noted.append(message.text))
            page.on("pageerror", lambda error: page.noted.append(str(error)))
            page.on("dialog", lambda dialog: (page.noted.append(dialog.message), dialog.dismiss()))
            page.on("request", lambda request: request.url.startswith("file:") or page.noted.append(request.url))
            page.goto(file.as_uri())
            return page

        yield show


@pytest.fixture
def run_cells(monkeypatch):
    """Run cells in a real kernel, with or without a front end, and give their outputs."""

    def run(*cells, headless):
        monkeypatch.setenv(HEADLESS, "1" if headless else "")
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        NotebookClient(notebook, timeout=120, kernel_name="python3").execute(env=dict(os.environ))
        return [cell.outputs for cell in notebook.cells]

    return run
