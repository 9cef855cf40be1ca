"""What the pages point at is there: files, headings, make targets."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    ROOT / "bench" / "README.md",
    *(ROOT / "infra").rglob("*.md"),
]


def anchors(page: Path) -> set[str]:
    """The headings, as hosting platforms make addresses of them."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_pages_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path) if path else page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked), target


def test_the_make_targets_that_pages_name_exist() -> None:
    shown = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    targets = {line.split()[0] for line in shown.splitlines() if line}
    for page in PAGES:
        for name in re.findall(r"(?:^|`)make ([a-z][a-z-]+)", page.read_text(encoding="utf-8")):
            assert name in targets, f"{page.relative_to(ROOT)}: make {name}"


def test_every_opt_in_target_is_in_contributing() -> None:
    """What isn't in `make test` is found there, with what it takes."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for name in re.findall(r"^([a-z-]+):.*##", makefile, re.MULTILINE):
        if name not in {"help", "lint", "types", "generated", "clean"}:
            assert f"make {name}" in text, name
