"""Getting a group past batches that can't be read: what `emostream offsets skip` does."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any, Literal

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, KafkaError, UnknownMemberIdError

from runtime.errors import Misconfigured
from runtime.kafka import offset_fetches, record_batches, unclosed
from runtime.kafka.connection import Broker, unreachable
from runtime.kafka.coordinators import wait_for_brokers
from runtime.kafka.errors import Fenced, ReadingStalled
from runtime.kafka.offset_metadata import is_of_another_topic, offset_metadata
from runtime.kafka.partition_fetches import PartitionFetches
from runtime.kafka.protocol import Partition, TopicFacts
from runtime.kafka.stopping import stop_consumer
from runtime.kafka.topic_facts import topic_facts

_START_S = 10.0
_STALL_S = 15.0
"""Without a record or a fault for so long, before the log's end, looking fails."""
_STOP_S = 5.0


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """One batch of one partition, and what was done about it."""

    topic: str
    partition: int
    first: int
    """The first offset that isn't read."""
    next: int
    """The offset at which reading goes on; what lies between is lost to this group."""
    offsets: int
    """How many offsets are skipped: at most so many posts."""
    reason: str
    state: Literal["skipped", "would be skipped", "posts before it are not finished"]
    unfinished: int = 0
    """Posts before the batch that the group hasn't committed: they come first."""


async def skip_bad_batches(
    broker: Broker,
    group: str,
    topics: Collection[str],
    *,
    only: Collection[Partition] = (),
    dry_run: bool = False,
) -> list[Skipped]:
    """Commit, for each partition whose next batch can't be read, the offset after that batch.

    Looks at all partitions of `topics`, or at `only` these. The group must have no members: its
    offsets are theirs. Nothing that can be read is skipped.

    Raises:
        Fenced: the group has members.
        Misconfigured: a topic doesn't exist, or where a batch ends can't be told.
        Unreachable: no broker answers.
        ReadingStalled: the brokers stopped answering.
    """
    record_batches.install()
    offset_fetches.install()
    unclosed.install()
    found: list[Skipped] = []
    async with _consumer(broker, group) as consumer:
        places = await _partitions(consumer, topics, only)
        consumer.assign(places)
        consumer.pause(*places)
        client = consumer._client  # noqa: SLF001 - aiokafka doesn't know topics' ids
        facts = await topic_facts(client, {place.topic for place in places})
        for place in places:
            found += await _look(consumer, place, facts.get(place.topic), dry_run=dry_run)
        offsets = {
            TopicPartition(one.topic, one.partition): (one.next, _metadata(facts.get(one.topic)))
            for one in found
            if one.state == "skipped"
        }
        if offsets:
            try:
                await consumer.commit(offsets)
            except (CommitFailedError, UnknownMemberIdError) as error:
                raise Fenced(
                    f"the group {group} has members, whose offsets these are: stop its consumers, "
                    "then skip, then start them again"
                ) from error
    return found


@asynccontextmanager
async def _consumer(broker: Broker, group: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker.bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        **broker.security,
    )
    wait_for_brokers(consumer._client)  # noqa: SLF001 - no public way
    try:
        try:
            async with asyncio.timeout(_START_S):
                await consumer.start()
        except (KafkaError, TimeoutError, OSError) as error:
            raise await unreachable(broker, error) from error
        yield consumer
    finally:
        await stop_consumer(consumer, within_s=_STOP_S)


async def _partitions(
    consumer: AIOKafkaConsumer, topics: Collection[str], only: Collection[Partition]
) -> list[TopicPartition]:
    cluster = await consumer._client.fetch_all_metadata()  # noqa: SLF001 - public are names only
    wanted = {one.topic for one in only} or set(topics)
    places = [
        TopicPartition(topic, number)
        for topic in sorted(wanted)
        for number in sorted(cluster.partitions_for_topic(topic) or ())
        if not only or Partition(topic, number) in only
    ]
    missing = wanted - {place.topic for place in places}
    if missing or len(places) < len(only):
        names = ", ".join(sorted(missing) or sorted(f"{t}/{n}" for t, n in only))
        raise Misconfigured(f"no such topic or partition: {names}")
    return places


def _metadata(topic: TopicFacts | None) -> str:
    return "" if topic is None else offset_metadata(topic)


async def _look(
    consumer: AIOKafkaConsumer, place: TopicPartition, topic: TopicFacts | None, *, dry_run: bool
) -> list[Skipped]:
    """Read from the committed offset up to the first batch that can't be read, and those after."""
    fetches, partition = PartitionFetches(consumer), Partition(*place)
    coordinator = consumer._coordinator  # noqa: SLF001 - the public way gives no metadata
    committed = (await coordinator.fetch_committed_offsets([place])).get(place)
    at = -1 if committed is None else committed.offset
    if at < 0 or (topic is not None and is_of_another_topic(committed.metadata or "", topic)):
        at = (await consumer.beginning_offsets([place]))[place]
    end = (await consumer.end_offsets([place]))[place]
    consumer.resume(place)
    consumer.seek(place, at)
    found: list[Skipped] = []
    unfinished = 0
    loop = asyncio.get_running_loop()
    moved_at = loop.time()
    try:
        while (position := fetches.position(partition)) is not None and position < end:
            got = await fetches.take(timeout_s=0.5, max_records=500, room=None)
            bad = fetches.bad_batches.pop(partition, None)
            if got and found:
                break  # what comes after the bad batches can be read
            unfinished += sum(map(len, got.values()))
            if bad is not None:
                if bad.next_offset is None:
                    raise Misconfigured(
                        f"where the batch of {place.topic}/{place.partition} at offset "
                        f"{bad.offset} ends can't be told: set the group's offset with "
                        "kafka-consumer-groups --reset-offsets"
                    )
                found.append(_skipped(place, bad, unfinished, dry_run=dry_run))
                if unfinished:
                    break
                fetches.assigned()
                consumer.seek(place, bad.next_offset)
            if bad is not None or got:
                moved_at = loop.time()
            elif loop.time() - moved_at > _STALL_S:
                raise ReadingStalled(
                    f"no answer for {_STALL_S:g} s in {place.topic}/{place.partition}"
                )
    finally:
        consumer.pause(place)
    return found


def _skipped(place: TopicPartition, bad: Any, unfinished: int, *, dry_run: bool) -> Skipped:
    state: Literal["skipped", "would be skipped", "posts before it are not finished"]
    if unfinished:
        state = "posts before it are not finished"
    else:
        state = "would be skipped" if dry_run else "skipped"
    return Skipped(
        topic=place.topic,
        partition=place.partition,
        first=bad.offset,
        next=bad.next_offset,
        offsets=bad.next_offset - bad.offset,
        reason=bad.reason,
        state=state,
        unfinished=unfinished,
    )
