"""Links in the README, the docs and the notebooks lead somewhere."""

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "notebooks").glob("*.ipynb")])
LINK = re.compile(r"!?\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")


def text_of(page):
    """Return the Markdown of a page; of a notebook its Markdown cells."""
    if page.suffix == ".md":
        return page.read_text()
    cells = json.loads(page.read_text())["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def anchors(page):
    """Return the anchors of the headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    """Files that are committed, and headings that exist; addresses on the network are https."""
    text = re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL)
    for link in LINK.findall(text):
        if "://" in link:
            assert link.startswith("https://")
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name}: {link}"
        assert not Path(name).is_absolute()
        if anchor and target.suffix in {".md", ".ipynb"}:
            assert anchor in anchors(target), f"{page.name}: {link}"


@pytest.mark.parametrize("path", ["lib/seatrial/__init__.py", "docs/cli.md", "tests/conftest.py", "binder/postBuild"])
def test_nothing_we_need_is_ignored(require, path):
    """The usual Python list ignores lib/: ours does not."""
    require("git")
    done = subprocess.run(["git", "check-ignore", path], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (1, "") == (done.returncode, done.stdout)


def test_the_readme_is_one_screen():
    """A newcomer can read the README from top to bottom."""
    assert 75 >= len((ROOT / "README.md").read_text().splitlines())
