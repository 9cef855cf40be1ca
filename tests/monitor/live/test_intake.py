"""Records as events, and which partitions are done."""

from typing import Any, cast

import msgspec
import pytest
from aiokafka import TopicPartition

from monitor.live.intake import Intake, read_record
from runtime.kafka.topic_log import KafkaTopicLog
from tests.monitor.live.made import T0, event


class Record(msgspec.Struct, kw_only=True):
    value: bytes | None
    partition: int = 0
    offset: int = 7
    timestamp: int = int(T0.timestamp() * 1000)
    key: bytes | None = b"k"
    headers: tuple[tuple[str, bytes], ...] = ()


def read(value: bytes | None, **more: Any) -> tuple[float, Any]:
    return read_record(Record(value=value, **more), future_s=60)


def test_an_event_is_ordered_by_its_own_time() -> None:
    time, arrived = read(msgspec.json.encode(event(1, at_s=-500)))
    assert time == T0.timestamp() - 500
    assert arrived.event is not None
    assert arrived.offset == 7


def test_a_post_from_the_future_is_ordered_by_its_record() -> None:
    time, _ = read(msgspec.json.encode(event(1, at_s=86_400)))
    assert time == T0.timestamp() + 60


@pytest.mark.parametrize("nothing", [-1, 0])
def test_where_a_record_has_no_time_its_event_was_made_when_it_says(nothing: int) -> None:
    value = msgspec.json.encode(event(1, at_s=-500))
    time, arrived = read(value, timestamp=nothing)
    assert time == T0.timestamp() - 500
    assert arrived.at == T0.timestamp()


@pytest.mark.parametrize(
    "junk",
    [b"not JSON", b'{"id":"\xff"}', b'{"x":' + b"[" * 200_000],
    ids=["words", "no UTF-8", "nested"],
)
def test_what_is_no_event_is_told_from_a_tombstone(junk: bytes) -> None:
    _, other = read(junk)
    _, tombstone = read(None)
    assert (other.event, other.tombstone) == (None, False)
    assert (tombstone.event, tombstone.tombstone) == (None, True)


def test_an_unanswered_task_is_seen_and_a_text_that_looks_like_one_is_not() -> None:
    _, one = read(msgspec.json.encode(event(1, unanswered={"E-c": "unreadable"})))
    _, other = read(msgspec.json.encode(event(1, text='"unanswered":{"E-c":"x"}')))
    assert one.unanswered
    assert not other.unanswered


class Reader:
    """Two partitions, of which the test says whether they are at their ends."""

    def __init__(self) -> None:
        self.positions = {TopicPartition("t", 0): 5, TopicPartition("t", 1): 9}
        self.ends = {0: False, 1: False}
        self.next: list[Any] = []

    def at_end(self, partition: TopicPartition) -> bool:
        return self.ends[partition.partition]

    async def take(self, *, timeout_s: float) -> list[Any]:
        taken, self.next = self.next, []
        return taken


class Log:
    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def reader(self, *_: Any) -> Reader:
        return self._reader


async def test_a_partition_is_idle_at_its_end_only_and_only_after_a_while() -> None:
    now, reader = [100.0], Reader()
    intake = Intake(
        cast("KafkaTopicLog", Log(reader)),
        {},
        idle_after_s=10,
        future_s=60,
        monotonic=lambda: now[0],
    )
    now[0] += 1_000
    assert intake.idle() == []  # never by time alone
    reader.ends[0] = True
    assert intake.idle() == []  # nor by the end alone
    now[0] += 9
    reader.next = [read(msgspec.json.encode(event(1)))[1]]
    await intake.take(timeout_s=0)  # written to slowly: at its end all the time
    now[0] += 9
    assert intake.idle() == []
    now[0] += 10
    assert intake.idle() == [0]
    reader.ends[0] = False
    assert intake.idle() == []
