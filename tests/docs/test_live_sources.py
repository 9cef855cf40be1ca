"""docs/live-sources.md: each command of it, against local servers of the same protocols."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web

from infra.kafka import TopicSpec, create_topics
from runtime.clock import SystemClock
from tests.docs.pages import ROOT
from tests.docs.terminal import Terminal
from tests.http_server import serving
from tests.producer.live.jetstream_server import JetstreamServer, event, jetstream, send
from tests.producer.live.mastodon_server import TOKEN, mastodon, status
from tests.producer.live.test_feed import rss
from tests.topics import stored_records

PAGE = ROOT / "docs/live-sources.md"


def commands() -> list[str]:
    blocks = re.findall(r"```\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def now_us() -> int:
    return int(SystemClock().wall() * 1e6)


async def endless(_: JetstreamServer, socket: web.WebSocketResponse, cursor: int | None) -> None:
    number = 0
    while True:
        await send(socket, event(number, now_us(), text=f"delayed again, {number} #trains"))
        number += 1
        await asyncio.sleep(0.02)


async def search(request: web.Request) -> web.Response:
    assert "created_at_i>" in request.query["numericFilters"]
    hit = {"objectID": "1", "comment_text": "<p>yes", "created_at_i": int(SystemClock().wall())}
    return web.json_response({"hits": [hit]})


async def news(_: web.Request) -> web.Response:
    return web.Response(body=rss(1, 2, 3))


@pytest.fixture
async def places() -> AsyncIterator[dict[str, str]]:
    """What the page names, and where it is here."""
    async with AsyncExitStack() as stack:
        bluesky = await stack.enter_async_context(jetstream([], endless))
        server = await stack.enter_async_context(
            mastodon([status(number, now_us()) for number in range(3)])
        )
        web_url = await stack.enter_async_context(
            serving(("GET", "/search", search), ("GET", "/news.rss", news))
        )
        yield {
            "produce bluesky": f"produce bluesky --host {bluesky.url}",
            "--instance example.social": f"--instance {server.url}",
            "https://example.org/news.rss": f"{web_url}/news.rss",
            "https://example.net/atom.xml": f"'{web_url}/news.rss?other'",
            "https://hn.algolia.com/api/v1/search_by_date": f"{web_url}/search",
        }


@pytest.mark.kafka
async def test_each_command_of_the_page_writes_posts(
    bootstrap: str, places: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(TOKEN, encoding="utf-8")
    environment = {
        "EMOSTREAM_KAFKA__BOOTSTRAP": bootstrap,
        "EMOSTREAM_MASTODON_TOKEN": TOKEN,
    }

    async def run(number: int, line: str) -> None:
        topic = f"{tmp_path.name[-20:]}.{number}"
        await create_topics({"bootstrap_servers": bootstrap}, [TopicSpec(topic, 2, 1)])
        for named, here in places.items():
            line = line.replace(named, here)
        line = f"{line.replace(' --limit 1000', '')} --limit 1 --topic {topic} --http-port 0"
        terminal = await Terminal.open(line, tmp_path, environment)
        try:
            assert await terminal.ended() == 0, f"{line}\n{terminal.text}"
        finally:
            await terminal.close()
        assert re.search(r"\d posts?, 0 edits and 0 deletions written", terminal.text)
        assert await stored_records(topic, bootstrap)

    lines = commands()
    assert len(lines) == 6
    private = places["https://example.org/news.rss"].replace("127.0.0.1", "0x7f000001")
    lines.append(f"emostream produce feed {private} --private-hosts")  # a name to the resolver
    async with asyncio.TaskGroup() as running:
        for number, line in enumerate(lines):
            running.create_task(run(number, line))
