"""What is generated is current, and what the pages name exists."""

import re
from pathlib import Path

from emostream import reference

ROOT = Path(__file__).parent.parent.parent


def test_generated_pages_are_current() -> None:
    """Else: make generated."""
    assert reference.outdated() == []


def test_links_between_pages_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "bench/README.md"]
    assert len(pages) > 8
    for page in pages:
        prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#:]+)[^):]*\)", prose):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"
