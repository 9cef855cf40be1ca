"""Where reading begins without an offset, and with one that is out of range: fake and real alike.

`latest` once jumped over 20 posts of added partitions, and over 295 that retention had left.
"""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import OffsetResetStrategy
from aiokafka.errors import NotCoordinatorForGroupError
from structlog.testing import capture_logs

from runtime.kafka import first_offsets
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


@pytest.mark.parametrize("reset", ["earliest", "latest"])
async def test_a_partition_that_was_added_is_read_from_its_start(
    cluster: Cluster, members: Callable[..., Member], producer: KafkaProducer, reset: str
) -> None:
    """Posts come to it before the members know of it."""
    (topic,) = cluster.options.input_topics
    first = members(auto_offset_reset=reset)
    await first.join()
    await first.look_until(lambda: len(first.consumer.assignment()) == 2)
    await first.consumer.commit({Partition(topic, n): OffsetAndMetadata(0) for n in range(2)})
    await first.consumer.stop()
    await cluster.add_partitions(topic, 3)
    await cluster.send_to(Partition(topic, 2), [b"early"] * 5)
    second = members(auto_offset_reset=reset)
    await second.join()
    await second.look_until(lambda: len(second.got) == 5)
    assert {partition for partition, _ in second.got} == {Partition(topic, 2)}


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
        self.strategy: int | None = None

    @property
    def has_valid_position(self) -> bool:
        return self.position is not None

    @property
    def awaiting_reset(self) -> bool:
        return self.strategy is not None

    async def fetch_committed(self) -> Any:
        return SimpleNamespace(offset=self._committed)

    def reset_to(self, position: int) -> None:
        self.position = position

    def await_reset(self, strategy: int) -> None:
        self.strategy = strategy


class _Consumer:
    """aiokafka's consumer, as far as this is concerned: it is its own parts."""

    def __init__(self, committed: dict[int, int]) -> None:
        self.committed = committed
        self.faults: list[Exception] = []
        self.left_to_aiokafka = 0
        self._fetcher = self._coordinator = self._client = self.cluster = self
        self._default_reset_strategy = OffsetResetStrategy.LATEST

    def partitions_for_topic(self, _: str) -> set[int]:
        return set(self.committed)

    async def fetch_committed_offsets(self, places: list[TopicPartition]) -> Any:
        if self.faults:
            raise self.faults.pop()
        return {one: SimpleNamespace(offset=self.committed[one.partition]) for one in places}

    async def _update_fetch_positions(self, *_: object) -> bool:
        self.left_to_aiokafka += 1
        return False


async def _begin(consumer: _Consumer, *numbers: int) -> dict[int, _State]:
    states = {number: _State(consumer.committed[number]) for number in numbers}
    assignment = SimpleNamespace(state_value=lambda place: states[place.partition])
    places = [TopicPartition("posts", number) for number in numbers]
    await consumer._update_fetch_positions(assignment, 1, places)
    return states


async def test_where_reading_begins_without_an_offset_is_logged_once_for_a_topic() -> None:
    consumer = _Consumer({0: 7, 1: -1, 2: 9, 3: -1, 4: -1})
    first_offsets.install(consumer, "latest")
    with capture_logs() as logs:
        states = await _begin(consumer, 0, 1, 3, 4)
    assert states[0].position == 7
    assert states[1].strategy == OffsetResetStrategy.LATEST, "it was there when the group began"
    assert [(one["partitions"], one["begins_at"]) for one in logs] == [
        ([1], "latest"),
        ([3, 4], "earliest"),
    ]
    assert consumer._default_reset_strategy == OffsetResetStrategy.EARLIEST


async def test_while_the_offsets_are_not_told_nothing_begins_anywhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def at_once(_: float) -> None: ...

    monkeypatch.setattr(asyncio, "sleep", at_once)
    consumer = _Consumer({0: 7, 1: -1})
    consumer.faults.append(NotCoordinatorForGroupError())
    first_offsets.install(consumer, "latest")
    states = await _begin(consumer, 0, 1)
    assert not states[1].awaiting_reset
    assert consumer.left_to_aiokafka == 0
    states = await _begin(consumer, 0, 1)
    assert states[1].strategy == OffsetResetStrategy.EARLIEST
