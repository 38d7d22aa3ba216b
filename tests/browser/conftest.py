"""JupyterLab on a copy of the notebooks, and a headless Chromium that looks at it."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest
from tests.conftest import PARTS, ROOT

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
]
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/lab")


@pytest.fixture
def lab(tmp_path, require):
    """Start JupyterLab on its own copy of the notebooks; return its address."""
    require("chromium")
    folder = tmp_path / "notebooks"
    shutil.copytree(ROOT / "notebooks", folder)
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--port=0", "--ServerApp.port_retries=0",
        "--IdentityProvider.token=", "--ServerApp.password=", "--LabApp.expose_app_in_browser=True",
        "--ServerApp.disable_check_xsrf=True", f"--ServerApp.root_dir={folder}", "--allow-root",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    own = {f"JUPYTER_{name}_DIR": str(tmp_path / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    settings = tmp_path / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
    environment = (
        os.environ
        | own
        | {
            "IPYTHONDIR": str(tmp_path / "ipython"),
            "JUPYTER_PREFER_ENV_PATH": "1",
            "JUPYTERLAB_SETTINGS_DIR": str(tmp_path / "settings"),
        }
    )
    environment.pop("SEATRIAL_HEADLESS", None)
    with _ended(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)) as process:
        for line in process.stderr:
            found = ADDRESS.search(line)
            if found:
                yield f"http://127.0.0.1:{found[1]}"
                break
        else:
            pytest.fail("JupyterLab did not start")


@pytest.fixture
def page(require):
    """Open a page in a headless Chromium, wide enough for a classroom."""
    require("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=PARTS["chromium"](), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(180_000)  # a whole measurement on busy cores
        yield page
        browser.close()


@contextmanager
def _ended(process):
    """End the server, its kernels and its pipe, whatever happened."""
    try:
        yield process
    finally:
        process.terminate()
        process.stderr.read()
        process.wait(30)
        process.stderr.close()
