"""Produce, consume, validate: real processes on real Kafka, faults on the way, sets at the end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from infra.kafka import create_topics, default_topics
from producer import BAD_INPUTS, Broker, LoadSettings, send_load
from tests.e2e.configuration import write_config
from tests.e2e.topics import Contents, contents
from tests.process import Process, emostream
from tests.tgi import FakeTgi, varied
from tests.topics import topic_names

GROUP = "e2e"
NAMES = topic_names("e2e")
STAGE = 500
STAGES = 4


@pytest.fixture
async def tgi() -> AsyncIterator[FakeTgi]:
    async with FakeTgi(varied, failing=0.05) as server:
        yield server


@pytest.fixture
def config(tmp_path: Path, bootstrap: str, tgi: FakeTgi) -> Path:
    return write_config(tmp_path, bootstrap=bootstrap, names=NAMES, group=GROUP, model=tgi.url)


@pytest.fixture
async def join(config: Path) -> AsyncIterator[Callable[[], Awaitable[Process]]]:
    """Starts a member of the group, as an operator would; gives it once it has partitions."""
    command = ("consume", "--config", str(config))
    async with AsyncExitStack() as members:

        async def start() -> Process:
            consumer = emostream(*command, environment={"EMOSTREAM_HTTP__PORT": "0"})
            member = await members.enter_async_context(consumer)
            await member.wait_for_line("emostream consumer is ready")
            return member

        yield start


@pytest.mark.timeout(150)
async def test_nothing_is_lost_through_kill_9_joins_leaves_and_server_errors(
    bootstrap: str, join: Callable[[], Awaitable[Process]], tgi: FakeTgi
) -> None:
    """Each record is an event or a dead letter, never both; a second event has the same id."""
    await create_topics({"bootstrap_servers": bootstrap}, default_topics(NAMES))
    first = await join()
    await _send(bootstrap, stage=1)
    second, _ = await asyncio.gather(  # joins while posts come in
        join(), _send(bootstrap, stage=2)
    )
    sending = asyncio.create_task(_send(bootstrap, stage=3))
    await _events_reach(bootstrap, 2.3)
    await first.kill()
    await sending
    third = await join()
    sending = asyncio.create_task(_send(bootstrap, stage=4))
    await _events_reach(bootstrap, 3.3)
    assert await second.stop() == 0, second.output  # leaves while posts come in
    await sending
    found = await _settled(bootstrap)
    assert await third.stop() == 0, third.output

    for member in (second, third):
        stopped = member.events[-1]
        assert stopped["event"] == "stopped"
        assert stopped["published"] > 0
    assert tgi.failed > 0
    assert set(found.posts) == set(found.events) | set(found.dead)
    assert not set(found.events) & set(found.dead)
    assert found.uncommitted == 0
    for events in found.events.values():
        assert len({event.id for event in events}) == 1
        assert len({(event.sentiment, event.emotions) for event in events}) == 1
    for text in ("load-4-", "Traceback"):  # no post's id in a log line, and no bug
        assert text not in second.output + third.output


async def _send(bootstrap: str, *, stage: int) -> None:
    load = LoadSettings(
        topic=NAMES.posts,
        count=STAGE,
        rate=250,
        duplicates=0.1,
        bad_input=0.03,
        bad_kinds=tuple(bad.kind for bad in BAD_INPUTS if not bad.skipped),
        seed=stage,
    )
    report = await send_load(load, Broker(bootstrap=bootstrap))
    assert report.ok
    assert report.acked == STAGE


async def _events_reach(bootstrap: str, stages: float) -> None:
    while len((await _read(bootstrap)).events) < stages * STAGE:  # noqa: ASYNC110 - Kafka's
        await asyncio.sleep(0.05)


async def _settled(bootstrap: str) -> Contents:
    """The topics once everything is committed; the test's own timeout bounds it."""
    while True:
        found = await _read(bootstrap)
        if not found.uncommitted and len(found.posts) == STAGES * STAGE:
            return found
        await asyncio.sleep(0.2)


async def _read(bootstrap: str) -> Contents:
    return await contents(
        bootstrap,
        GROUP,
        posts=NAMES.posts,
        events=NAMES.events,
        dead_letters=NAMES.dead_letters,
    )
