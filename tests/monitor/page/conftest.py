"""A page that is served, with made-up figures behind it."""

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from monitor.page import files, vendor
from monitor.page.hub import Hub
from monitor.page.server import PageServer
from monitor.page.settings import PageSettings
from tests.monitor.page.browsing import browse, chromium  # noqa: F401 - fixtures
from tests.monitor.page.made_up import END, MadeUp

WALL = END.timestamp() + 34
"""Half a minute after the newest made-up minute ended."""


@dataclass
class Served:
    """A running page and someone who asks it."""

    server: PageServer
    source: MadeUp
    http: aiohttp.ClientSession
    time: list[float]
    """The wall clock, for tests to turn."""
    settings: PageSettings

    @property
    def url(self) -> str:
        """Where it is served."""
        return self.server.url

    def hub(self) -> Hub:
        """What shares its changes."""
        return self.server._hub

    async def stop(self) -> None:
        """The server goes away."""
        await self.server.stop()

    async def start(self) -> None:
        """It comes back, at the same address."""
        port = int(self.url.rsplit(":", 1)[1])
        self.server = served(replace(self.settings, port=port), self.source, self.time)
        await self.server.start()

    def get(self, path: str, **headers: str) -> Any:
        """GET, with headers."""
        return self.http.get(f"{self.url}{path}", headers=_headers(headers))

    def post(self, path: str, body: Any, **headers: str) -> Any:
        """POST JSON as the page itself does it, unless headers say otherwise."""
        own = {"Origin": self.url, "Content-Type": "application/json", **_headers(headers)}
        data = body if isinstance(body, bytes) else aiohttp.JsonPayload(body)
        return self.http.post(f"{self.url}{path}", data=data, headers=own)


def served(settings: PageSettings, source: MadeUp, time: list[float]) -> PageServer:
    """A page that passes changes on at once."""
    return PageServer(settings, source, wall=lambda: time[0], gather_s=0)


def _headers(given: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in given.items()}


Serve = Callable[..., Any]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serve a page with these settings; more than one, if a test wants."""
    async with AsyncExitStack() as stack:

        async def start(source: MadeUp | None = None, **settings: Any) -> Served:
            time = [WALL]
            behind = source or MadeUp(tracks=3, hours=1)
            chosen = PageSettings(**{"port": 0, **settings})
            # No jar: a test says itself which cookie goes along.
            session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
            http = await stack.enter_async_context(session)
            page = Served(served(chosen, behind, time), behind, http, time, chosen)
            stack.push_async_callback(page.stop)
            await page.server.start()
            return page

        yield start


@asynccontextmanager
async def watching(page: Served, since: str = "", **headers: str) -> AsyncIterator["Stream"]:
    """A live stream of the page."""
    async with page.get(f"/api/live?since={since}", **headers) as answer:
        assert answer.status == 200, await answer.text()
        yield Stream(answer.content)


class Stream:
    """Reads server-sent events."""

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self._content = content

    async def next(self) -> dict[str, str]:
        """The next event's fields; what has no `event` is passed over."""
        fields: dict[str, str] = {}
        while line := (await self._content.readline()).decode():
            if line == "\n":
                if "event" in fields:
                    return fields
                fields = {}
                continue
            name, _, value = line.rstrip("\n").partition(": ")
            fields[name] = value
        return fields

    async def until(self, kind: str) -> dict[str, str]:
        """The next event of a kind."""
        while True:
            found = await self.next()
            assert found, f"the stream ended before {kind}"
            if found["event"] == kind:
                return found


@pytest.fixture
def without_uplot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in a checkout where uPlot was never fetched."""
    shutil.copytree(files.FOLDER, tmp_path, dirs_exist_ok=True, ignore=lambda *_: ["vendor"])
    monkeypatch.setattr(files, "FOLDER", tmp_path)
    monkeypatch.setattr(vendor, "UPLOT", replace(vendor.UPLOT, folder=tmp_path / "none"))
