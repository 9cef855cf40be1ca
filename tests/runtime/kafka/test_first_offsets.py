"""Where reading begins without an offset, and with one that is out of range: fake and real alike.

`latest` once jumped over 20 posts of added partitions, and over 295 that retention had left.
"""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import OffsetResetStrategy
from aiokafka.errors import CommitFailedError, TopicAuthorizationFailedError
from structlog.testing import capture_logs

from runtime.kafka.first_offsets import FirstOffsets
from runtime.kafka.offset_metadata import BEGINS_HERE
from runtime.kafka.protocol import KafkaProducer, OffsetAndMetadata, Partition
from tests.runtime.kafka.clusters import Cluster, Member, send


async def test_latest_skips_what_was_there_before_the_group(
    cluster: Cluster, members: Callable[..., Member], producer: KafkaProducer
) -> None:
    (topic,) = cluster.options.input_topics
    await send(producer, topic, [b"before"] * 10)
    member = members(auto_offset_reset="latest")
    await member.join()
    ends = await _ends(member, topic)
    await member.look_until(lambda: _positions(member, topic) == ends)
    await send(producer, topic, [b"after"])
    await member.look_until(lambda: bool(member.got))
    assert member.values() == [b"after"]


async def test_what_comes_after_the_group_began_is_read_though_it_ended_before_any_post(
    cluster: Cluster, members: Callable[..., Member], producer: KafkaProducer
) -> None:
    """As after a kill: nothing was read of the partition, or what was read wasn't committed."""
    (topic,) = cluster.options.input_topics
    await send(producer, topic, [b"before"] * 10)
    first = members(auto_offset_reset="latest")
    await first.join()
    ends = await _ends(first, topic)
    await first.look_until(lambda: _positions(first, topic) == ends)
    await first.consumer.stop()
    await send(producer, topic, [b"after"] * 10)
    second = members(auto_offset_reset="latest")
    await second.join()
    await second.look_until(lambda: len(second.got) == 10)
    assert set(second.values()) == {b"after"}


async def test_a_second_member_that_comes_later_reads_nothing_of_before(
    cluster: Cluster, members: Callable[..., Member], producer: KafkaProducer
) -> None:
    """Though the group may have offsets of some partitions only: those that had posts."""
    (topic,) = cluster.options.input_topics
    await cluster.send_to(Partition(topic, 0), [b"before"])
    await cluster.send_to(Partition(topic, 1), [b"before"])
    first = members(auto_offset_reset="earliest")
    await first.join()
    await first.look_until(lambda: len(first.consumer.assignment()) == 2)
    await first.consumer.commit({Partition(topic, 0): OffsetAndMetadata(1)})
    await first.consumer.stop()
    second = members(auto_offset_reset="latest")
    await second.join()
    ends = await _ends(second, topic)
    await second.look_until(lambda: _positions(second, topic) == ends)
    assert second.got == []


@pytest.mark.parametrize("reset", ["earliest", "latest"])
async def test_a_partition_that_is_added_is_read_from_its_start(
    cluster: Cluster, members: Callable[..., Member], producer: KafkaProducer, reset: str
) -> None:
    """Posts come to it before the member knows of it."""
    (topic,) = cluster.options.input_topics
    member = members(auto_offset_reset=reset)
    await member.join()
    await member.look_until(lambda: None not in _positions(member, topic).values())
    await cluster.add_partitions(topic, 3)
    await cluster.send_to(Partition(topic, 2), [b"early"] * 5)
    await cluster.noticed()
    await member.look_until(lambda: len(member.got) == 5)
    assert {partition for partition, _ in member.got} == {Partition(topic, 2)}


@pytest.mark.parametrize("reset", ["earliest", "latest"])
async def test_behind_an_offset_that_retention_has_passed_all_that_is_left_is_read(
    cluster: Cluster, members: Callable[..., Member], producer: KafkaProducer, reset: str
) -> None:
    (topic,) = cluster.options.input_topics
    first = members(auto_offset_reset=reset)
    await first.join()
    await first.look_until(lambda: len(first.consumer.assignment()) == 2)
    await first.consumer.commit({Partition(topic, n): OffsetAndMetadata(0) for n in range(2)})
    await first.consumer.stop()
    await cluster.send_to(Partition(topic, 0), [b"post"] * 50)
    await cluster.retain(Partition(topic, 0), 20)
    second = members(auto_offset_reset=reset)
    await second.join()
    await second.look_until(lambda: len(second.got) == 30)
    assert second.got[0][1].offset == 20


async def _ends(member: Member, topic: str) -> dict[Partition, int]:
    asked = [Partition(topic, number) for number in range(2)]
    return dict(await member.consumer.end_offsets(asked, timeout_s=10))


def _positions(member: Member, topic: str) -> dict[Partition, int | None]:
    return {
        Partition(topic, number): member.consumer.position(Partition(topic, number))
        for number in range(2)
    }


class _State:
    """What aiokafka keeps of a partition."""

    def __init__(self, committed: int) -> None:
        self._committed = committed
        self.position: int | None = None
        self.awaiting_reset = False

    @property
    def has_valid_position(self) -> bool:
        return self.position is not None

    async def fetch_committed(self) -> Any:
        return SimpleNamespace(offset=self._committed)

    def reset_to(self, position: int) -> None:
        self.position = position


class _Consumer:
    """aiokafka's consumer, as far as this is concerned: it is its own parts."""

    def __init__(self, committed: dict[int, int], reset: Literal["earliest", "latest"]) -> None:
        self.states = {number: _State(offset) for number, offset in committed.items()}
        self.commits: list[Any] = []
        self.faults: list[Exception] = []
        self._fetcher = self._coordinator = self._client = self.cluster = self
        self._default_reset_strategy = OffsetResetStrategy.LATEST
        self.first = FirstOffsets(self, reset)

    def topics(self) -> set[str]:
        return {"posts"}

    def partitions_for_topic(self, _: str) -> set[int]:
        return set(self.states)

    def state_value(self, place: TopicPartition) -> _State:
        return self.states[place.partition]

    async def _proc_offset_request(self, _: int, asked: Any) -> Any:
        at = {OffsetResetStrategy.LATEST: 100, OffsetResetStrategy.EARLIEST: 0}
        return {
            TopicPartition(topic, number): (at[strategy], None)
            for topic, numbers in asked.items()
            for number, strategy in numbers
        }

    async def commit_offsets(self, _: object, offsets: Any) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.commits.append({place.partition: tuple(at) for place, at in offsets.items()})

    async def _update_fetch_positions(self, *_: object) -> bool:
        return False

    async def begin(self, *numbers: int) -> list[int | None]:
        """What aiokafka calls; the positions that came of it."""
        places = [TopicPartition("posts", number) for number in numbers]
        await self._update_fetch_positions(self, 1, places)
        return [self.states[number].position for number in numbers]


async def test_where_reading_begins_without_an_offset_is_logged_once_for_a_topic() -> None:
    consumer = _Consumer({0: 7, 1: -1, 2: -1}, "latest")
    consumer.first.assigned()
    consumer.states |= {3: _State(-1), 4: _State(-1)}
    consumer.first.assigned()
    with capture_logs() as logs:
        assert await consumer.begin(0, 1, 2, 3, 4) == [7, 100, 100, 0, 0]
    assert [(one["partitions"], one["begins_at"]) for one in logs] == [
        ([1, 2], "latest"),
        ([3, 4], "earliest"),
    ]
    assert consumer._default_reset_strategy == OffsetResetStrategy.EARLIEST


async def test_nothing_is_read_before_it_is_committed_where_reading_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def at_once(_: float) -> None: ...

    monkeypatch.setattr(asyncio, "sleep", at_once)
    consumer = _Consumer({0: 7, 1: -1}, "latest")
    consumer.faults = [TopicAuthorizationFailedError(), CommitFailedError()]
    consumer.first.assigned()
    for _ in range(2):
        assert await consumer.begin(0, 1) == [7, None]
    assert await consumer.begin(0, 1) == [7, 100]
    assert consumer.commits == [{1: (100, BEGINS_HERE)}]


async def test_from_the_earliest_nothing_has_to_be_committed() -> None:
    consumer = _Consumer({0: 7, 1: -1}, "earliest")
    consumer.first.assigned()
    assert await consumer.begin(0, 1) == [7, None], "which is for aiokafka to look up"
    assert consumer.commits == []
