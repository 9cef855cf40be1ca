"""Exactly-once on real Kafka: members die and freeze in the middle of a transaction."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from infra.kafka import create_topics, default_topics
from producer import Broker, LoadSettings, send_load
from tests.e2e.configuration import write_config
from tests.e2e.topics import settled
from tests.process import Process, emostream
from tests.tgi import FakeTgi, varied
from tests.topics import topic_names

NAMES = topic_names("once")
GROUP = "once"
STAGE = 100
"""Posts of one write: a second of them."""
Join = Callable[[], Awaitable[Process]]


@pytest.fixture
async def join(tmp_path: Path, bootstrap: str) -> AsyncIterator[Join]:
    """Starts a consumer that promises exactly-once; returns when it has its partitions."""
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(FakeTgi(varied))
        config = write_config(
            tmp_path, bootstrap=bootstrap, names=NAMES, group=GROUP, model=model.url
        )
        environment = {
            "EMOSTREAM_HTTP__PORT": "0",
            "EMOSTREAM_DELIVERY__GUARANTEE": "exactly-once",
        }

        async def start() -> Process:
            command = emostream("consume", "--config", str(config), environment=environment)
            member = await stack.enter_async_context(command)
            await member.wait_for_line("emostream consumer is ready")
            return member

        yield start


@pytest.mark.timeout(170)
async def test_each_post_has_one_event_though_members_die_and_wake_in_a_transaction(
    bootstrap: str, join: Join
) -> None:
    """Of the zombie's transaction, and of the killed one's, a reader of committed sees nothing."""
    await create_topics({"bootstrap_servers": bootstrap}, default_topics(NAMES))
    zombie = await join()
    posts = await _until_frozen_in_a_transaction(zombie, bootstrap, seed=1_000)
    owner = await join()
    # What the zombie has open is undone: nobody waits for it.
    await settled(bootstrap, GROUP, NAMES, posts)
    # Fenced; or aborted, where it slept for longer than it waits for an answer.
    trouble = f'"partition": "{NAMES.posts}-'
    before = zombie.output.count(trouble)
    zombie.signal(signal.SIGCONT)
    await zombie.wait_for_line(trouble, times=before + 1)
    await zombie.stop()

    posts += await _until_frozen_in_a_transaction(owner, bootstrap, seed=1_000_000)
    await owner.kill()
    last = await join()
    found = await settled(bootstrap, GROUP, NAMES, posts)
    assert await last.stop() == 0, last.output

    assert max(found.posts.values()) == 1  # keys are told apart
    assert {key: len(events) for key, events in found.events.items()} == dict(found.posts)
    assert not found.dead


async def _until_frozen_in_a_transaction(member: Process, bootstrap: str, *, seed: int) -> int:
    """Write posts until it is frozen; give how many."""
    freezing = asyncio.create_task(_freeze_in_a_transaction(member, bootstrap))
    written = 0
    while not freezing.done():
        load = LoadSettings(topic=NAMES.posts, count=STAGE, rate=100, seed=seed + written)
        written += (await send_load(load, Broker(bootstrap=bootstrap))).acked
    await freezing
    return written


async def _freeze_in_a_transaction(member: Process, bootstrap: str) -> None:
    """Freeze it while events of it are written that aren't committed; it is let go on else."""
    async with (
        _reader(bootstrap, "read_committed") as committed,
        _reader(bootstrap, "read_uncommitted") as written,
    ):
        partitions = [TopicPartition(NAMES.events, number) for number in range(4)]
        while True:
            member.signal(signal.SIGSTOP)
            ends = await written.end_offsets(partitions)
            stable = await committed.end_offsets(partitions)
            # The first look is the earlier one: a transaction that ended between them has none.
            if any(stable[one] < ends[one] for one in partitions):
                return
            member.signal(signal.SIGCONT)
            await asyncio.sleep(0.013)  # another moment of its work


def _reader(bootstrap: str, isolation: str) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level=isolation)
