"""Four consumers on four partitions share the work of a server that is full; one is replaced."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web

from infra.kafka import create_topics, default_topics
from producer import Broker, LoadSettings, send_load
from runtime.kafka.topic_log import kafka_topic_log
from tests.e2e.configuration import write_config
from tests.e2e.topics import Contents, settled
from tests.process import Process, emostream
from tests.tgi import FakeTgi, error_response, varied
from tests.topics import topic_names

NAMES = topic_names("four")
GROUP = "four"
PLACES = 16
"""Of the server: one more prompt is refused with 429, as TGI does."""
ANSWER_S = 0.02
STAGE = 600


class FullServer:
    """TGI with so many places, each taken for a while."""

    def __init__(self) -> None:
        self.busy = self.most = self.refused = 0
        info = {"max_concurrent_requests": PLACES}
        self.tgi = FakeTgi(varied, info=info, failure=self._take_place)

    async def _take_place(self, request: web.Request) -> web.StreamResponse | None:
        if request.path != "/generate":
            return None
        if self.busy >= PLACES:
            self.refused += 1
            return error_response(429)
        self.busy += 1
        self.most = max(self.most, self.busy)
        try:
            await asyncio.sleep(ANSWER_S)
        finally:
            self.busy -= 1
        return None


@pytest.fixture
async def server() -> AsyncIterator[FullServer]:
    full = FullServer()
    async with full.tgi:
        yield full


@pytest.fixture
def config(tmp_path: Path, bootstrap: str, server: FullServer) -> Path:
    return write_config(
        tmp_path, bootstrap=bootstrap, names=NAMES, group=GROUP, model=server.tgi.url
    )


@pytest.mark.timeout(170)
async def test_four_share_the_work_and_one_that_is_killed_is_replaced_without_loss(
    bootstrap: str, config: Path, server: FullServer
) -> None:
    """Each partition is read by another; the server's places are all used, and nothing is lost."""
    await create_topics({"bootstrap_servers": bootstrap}, default_topics(NAMES))
    async with AsyncExitStack() as members:

        async def join() -> Process:
            command = emostream(
                "consume", "--config", str(config), environment={"EMOSTREAM_HTTP__PORT": "0"}
            )
            member = await members.enter_async_context(command)
            await member.wait_for_line("emostream consumer is ready")
            return member

        crew = [await join()]
        crew += await asyncio.gather(join(), join(), join())
        for member in crew:
            await member.wait_for_line('"partitions": 1')
        await _send(bootstrap, stage=1)
        await _settled(bootstrap, STAGE, crew)
        assert await _partitions(bootstrap) == {0, 1, 2, 3}  # each member has answered its own
        sending = asyncio.create_task(_send(bootstrap, stage=2))
        await crew[0].kill()
        crew[0] = await join()
        await sending
        found = await _settled(bootstrap, 2 * STAGE, crew)
        for member in crew:
            assert await member.stop() == 0, member.output

    for member in crew[1:]:
        assert member.events[-1]["published"] > 0
    assert set(found.posts) == set(found.events)
    assert not found.dead
    for events in found.events.values():
        assert len({event.id for event in events}) == 1
    assert server.most == PLACES
    assert server.refused > 0  # together they want more than it takes, and adapt


async def _settled(bootstrap: str, posts: int, crew: list[Process]) -> Contents:
    """The topics once so many posts are committed; where they don't come, what the members said."""
    try:
        return await settled(bootstrap, GROUP, NAMES, posts)
    except AssertionError as error:
        logs = "\n\n".join(f"{member.pid}:\n{member.output}" for member in crew)
        raise AssertionError(f"{error}\n{logs}") from None


async def _send(bootstrap: str, *, stage: int) -> None:
    load = LoadSettings(topic=NAMES.posts, count=STAGE, rate=1_000, seed=stage)
    report = await send_load(load, Broker(bootstrap=bootstrap))
    assert report.acked == STAGE


async def _partitions(bootstrap: str) -> set[int]:
    """Those that hold posts."""
    async with kafka_topic_log(NAMES.posts, Broker(bootstrap=bootstrap)) as log:
        return {number for number, span in (await log.held()).items() if span.end > span.start}
