"""axe-core (MPL-2.0), which looks for what shuts people out; fetched once, for these tests only."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from monitor.page.vendor import Package, VendorError, fetch
from tests.monitor.page.browsing import REQUIRED
from tests.monitor.page.chromium import Tab

AXE = Package(
    name="axe-core",
    version="4.14.1",
    integrity="sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg"
    "2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
    files={"axe.min.js": "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"},
    folder=Path(__file__).parents[3] / "build" / "axe",
)
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


async def violations(tab: Tab, within: str = "html", rules: list[str] | None = None) -> list[str]:
    """What axe finds wrong with the page as it is: rule, why, and where."""
    try:
        fetch(AXE)
    except VendorError as error:
        if REQUIRED:
            raise
        pytest.skip(str(error))
    if not await tab.run("globalThis.axe !== undefined"):
        await tab.run((AXE.folder / "axe.min.js").read_text(encoding="utf-8") + "; 0")
    only = {"type": "rule", "values": rules} if rules else {"type": "tag", "values": _TAGS}
    options = msgspec.json.encode({"runOnly": only, "resultTypes": ["violations"]}).decode()
    found: list[dict[str, Any]] = await tab.run(
        f"axe.run({within!r}, {options}).then((found) => found.violations.map((one) => ("
        "{id: one.id, help: one.help, where: one.nodes.slice(0, 4).map((node) =>"
        " node.target.join(' ') + ': ' + (node.any[0] ?? node.all[0] ?? node.none[0])?.message)})))"
    )
    return [f"{one['id']} ({one['help']}): {one['where']}" for one in found]
