"""What a person does in JupyterLab, as scripts for the page: wait for the kernel, run cells, scroll, look for errors."""

import os
from pathlib import Path

READY = """() => {
  const panel = window.jupyterapp?.shell.currentWidget;
  const session = panel?.context?.sessionContext;
  return Boolean(session?.isReady && session.session?.kernel?.connectionStatus === 'connected'
    && session.session.kernel.status === 'idle');
}"""
IDLE = """() => window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel.status === 'idle'"""
RUN_UP_TO = """(id) => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = notebook.widgets.findIndex((cell) => cell.model.id === id);
  window.jupyterapp.commands.execute('notebook:run-all-above').then(
    () => window.jupyterapp.commands.execute('notebook:run-cell'));
}"""
RUN_BELOW = """() => { window.jupyterapp.commands.execute('notebook:run-all-below'); }"""
SCROLL = """(id) => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  const index = notebook.widgets.findIndex((cell) => cell.model.id === id);
  notebook.activeCellIndex = index;
  return notebook.scrollToItem(index, 'start');
}"""
ERRORS = """() => window.jupyterapp.shell.currentWidget.content.widgets.flatMap(
  (cell) => (cell.model.type === 'code' ? cell.model.outputs.toJSON() : [])
    .filter((output) => output.output_type === 'error')
    .map((output) => `${cell.model.id}: ${output.evalue}`))"""
SHOTS = os.environ.get("SEATRIAL_SCREENSHOTS")
"""A folder for screenshots, for whoever wants to look."""


def shoot(page, name):
    """Save a screenshot if a setting asks for it."""
    if SHOTS:
        page.wait_for_timeout(300)  # a scroll is no event to wait for; nothing depends on it
        page.screenshot(path=Path(SHOTS) / f"{name}.png")
