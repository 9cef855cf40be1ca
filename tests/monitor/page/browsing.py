"""What the browser tests share: one browser, and tabs that must end without blame."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from tests.monitor.page.chromium import Chromium, Tab, find

if TYPE_CHECKING:
    from tests.monitor.page.conftest import Served  # which has these fixtures

Browse = Callable[..., Awaitable[Tab]]

REQUIRED = os.environ.get("EMOSTREAM_REQUIRE_BROWSER") == "1"
WHY = "no Chromium here: apt-get install chromium, or name one in EMOSTREAM_BROWSER"


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Chromium]:
    """One browser for all tests; without one they are skipped, and in CI they fail."""
    path = find()
    if path is None:
        if REQUIRED:
            pytest.fail(WHY)
        pytest.skip(WHY)
    async with Chromium.start(path) as browser:
        yield browser


@pytest.fixture
async def browse(chromium: Chromium) -> AsyncIterator[Browse]:
    """Open a page in a fresh profile; at the end nothing was violated, nobody else was asked."""
    opened: list[tuple[Tab, Served]] = []
    # One that stayed open where a test fails would take CPU from all tests after it.
    async with AsyncExitStack() as tabs:

        async def open_tab(
            page: "Served",
            path: str = "/",
            *,
            size: tuple[int, int] = (1200, 800),
            phone: bool = False,
        ) -> Tab:
            tab = await chromium.tab()
            tabs.push_async_callback(tab.close)
            opened.append((tab, page))
            await tab.size(*size, phone=phone)
            await tab.open(path if path == "about:blank" else page.url + path)
            return tab

        yield open_tab
        for tab, page in opened:
            if blame := await tab.blame():
                pytest.fail(f"the browser complains: {blame}")
            if outside := [
                url for url in tab.requests() if not url.startswith((page.url, "data:"))
            ]:
                pytest.fail(f"asked somebody else: {outside}")


SHOWN = "document.querySelector('.alert button') && document.querySelector('.u-over')"
"""The page has drawn its charts; what they show may still be on its way."""
LOADED = "document.querySelectorAll('.figure[aria-busy=false]').length === 4"


async def ready(tab: Tab) -> None:
    """Wait until the page shows its figures."""
    await tab.until(SHOWN)
    await tab.until(LOADED)
