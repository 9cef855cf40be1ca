"""The pictures of docs/page.md, of made-up figures: `python -m tests.monitor.page.screenshots`.

Needs Chromium; where `pngquant` is installed, the pictures are made small with it.
"""

import asyncio
import shutil
import subprocess
from pathlib import Path

from monitor.page.server import PageServer
from monitor.page.settings import PageSettings
from tests.monitor.page.browsing import ready
from tests.monitor.page.chromium import Chromium, Tab, find
from tests.monitor.page.made_up import END, MadeUp

FOLDER = Path(__file__).parents[3] / "docs" / "images"
DESK, PHONE, WALL = (1440, 900), (390, 844), (2560, 1440)
AGO = "document.getElementById('status').dataset.state === 'live'"


async def main() -> None:
    """Take them all."""
    path = find()
    if path is None:
        raise SystemExit("no Chromium here: apt-get install chromium")
    source = MadeUp(tracks=12, hours=24)
    async with (
        PageServer(PageSettings(port=0), source, wall=lambda: END.timestamp() + 34) as page,
        Chromium.start(path) as browser,
    ):
        for name, size, scheme, query in (
            ("page-light", DESK, "light", "track=kestrel+air&range=1h&at=2026-11-28T11:50:00Z"),
            ("page-dark", DESK, "dark", "track=kestrel+air&track=%23checkout&range=24h"),
            ("page-phone", PHONE, "light", "track=kestrel+air&range=1h"),
            ("page-wall", WALL, "dark", "track=kestrel+air&range=1h"),
        ):
            tab = await browser.tab()
            await tab.size(*size, phone=size == PHONE, scale=2 if size == PHONE else 1)
            await tab.prefer(scheme)
            await tab.open(f"{page.url}/?{query}")
            await ready(tab)
            await tab.until(AGO)
            await settled(tab)
            if await tab.run("!document.getElementById('posts').hidden"):
                await tab.run("document.querySelector('#posts input').click()")
                await settled(tab)
            save(await tab.picture(), FOLDER / f"{name}.png")
            await tab.close()


async def settled(tab: Tab) -> None:
    """Wait until the posts that were asked for are there, and drawn."""
    await tab.until("document.getElementById('posts').hidden || document.querySelector('.post')")
    await tab.run("new Promise((done) => setTimeout(done, 300))")


def save(picture: bytes, path: Path) -> None:
    """Write a picture, as small as it gets."""
    if pngquant := shutil.which("pngquant"):
        command = [pngquant, "--quality=70-95", "--speed=1", "--strip", "-"]
        picture = subprocess.run(command, input=picture, capture_output=True, check=True).stdout
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture)
    print(f"{path.name}: {len(picture) / 1024:.0f} KB")  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())
