"""Errors of one partition's fetch, as aiokafka keeps them: no other partition loses a record."""

import asyncio
import gc
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import FetchError, FetchResult
from aiokafka.errors import RecordTooLargeError, TopicAuthorizationFailedError

from runtime.kafka.partition_fetches import PartitionFetches
from runtime.kafka.protocol import BadBatch, Partition
from runtime.kafka.record_batches import BadBatchError
from tests.runtime.fake_clock import settle

BAD, GOOD = Partition("posts", 0), Partition("posts", 1)


class Records:
    """The records of one fetch, as `FetchResult` takes them."""

    def __init__(self, *offsets: int) -> None:
        self._left = list(offsets)
        self.next_fetch_offset = offsets[0]

    def __iter__(self) -> "Records":
        return self

    def __next__(self) -> Any:
        if not self._left:
            raise StopIteration
        offset = self._left.pop(0)
        self.next_fetch_offset = offset + 1
        return SimpleNamespace(offset=offset)


class Broken(Records):
    """A batch that can't be read: whoever has tried it finds nothing more of the fetch."""

    def __next__(self) -> Any:
        if self._left:
            self._left.clear()
            raise BadBatchError("its checksum is wrong", None)
        return super().__next__()


class State:
    """What aiokafka keeps of a partition."""

    paused = False
    has_valid_position = True

    def __init__(self, position: int) -> None:
        self.position = position

    def consumed_to(self, position: int) -> None:
        self.position = position


class Client:
    """aiokafka's consumer, as far as its fetches are concerned: it is its own parts."""

    active = True
    reassignment_in_progress = False
    _closed = False
    _wait_consume_future = None

    def __init__(self) -> None:
        self._fetcher = self._subscription = self._coordinator = self
        self.subscription = SimpleNamespace(assignment=self)
        self.states = {BAD: State(40), GOOD: State(7)}
        self._records: dict[TopicPartition, Any] = {}
        self.sought: list[tuple[TopicPartition, int]] = []
        self.waiters: list[asyncio.Future[None]] = []

    def state_value(self, place: Partition) -> State:
        return self.states[Partition(*place)]

    def fetch_context(self) -> "Client":
        return self

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def check_errors(self) -> None: ...

    def _notify(self, _: object) -> None: ...

    def _create_fetch_waiter(self) -> "asyncio.Future[None]":
        self.waiters.append(asyncio.get_running_loop().create_future())
        return self.waiters[-1]

    def seek(self, place: TopicPartition, offset: int) -> None:
        self.sought.append((place, offset))
        self._records.pop(place, None)
        self.states[Partition(*place)].position = offset

    def fetched(self, partition: Partition, *offsets: int) -> None:
        place = TopicPartition(*partition)
        self._records[place] = FetchResult(
            place, assignment=self, partition_records=Records(*offsets), backoff=0
        )

    def fetched_broken(self, partition: Partition) -> None:
        place = TopicPartition(*partition)
        self._records[place] = FetchResult(
            place, assignment=self, partition_records=Broken(40), backoff=0
        )

    def holds(self, partition: Partition) -> bool:
        return TopicPartition(*partition) in self._records

    def failed(self, partition: Partition, error: Exception) -> None:
        self._records[TopicPartition(*partition)] = FetchError(error=error, backoff=0)

    def came_in_part(self, partition: Partition) -> None:
        """As aiokafka 0.14 has it: it goes one offset on."""
        self.states[partition].position += 1
        self.failed(partition, RecordTooLargeError("less than a batch"))


async def take(fetches: PartitionFetches) -> dict[Partition, list[int]]:
    taken = await fetches.take(timeout_s=0, max_records=100, room=None)
    return {one: [record.offset for record in records] for one, records in taken.items()}


@pytest.mark.parametrize("looks", [0, 1])
async def test_an_error_of_one_partition_is_told_and_costs_no_record_of_another(looks: int) -> None:
    """Whichever of the two has the first turn."""
    client = Client()
    fetches = PartitionFetches(client)
    for _ in range(looks):
        await take(fetches)
    client.failed(BAD, TopicAuthorizationFailedError("posts"))
    client.fetched(GOOD, 7, 8, 9)
    taken: dict[Partition, list[int]] = {}
    told = 0
    for _ in range(3):
        try:
            taken |= await take(fetches)
        except TopicAuthorizationFailedError:
            told += 1
    assert taken == {GOOD: [7, 8, 9]}
    assert told == 1
    assert fetches.position(GOOD) == 10
    assert fetches.position(BAD) == 40


async def test_a_batch_that_comes_in_part_moves_no_position_and_is_tried_again_from_its_start() -> (
    None
):
    """The first one after the start, and each time it is tried: committed would be what it says."""
    client = Client()
    fetches = PartitionFetches(client)
    for _ in range(3):
        client.came_in_part(BAD)
        assert fetches.position(BAD) == 40, "before it is looked at"
        client.fetched(GOOD, client.states[GOOD].position)
        await take(fetches)
        await take(fetches)
        assert fetches.bad_batches == {BAD: BadBatch(40, "less than the whole batch came")}
        assert fetches.position(BAD) == 40
        assert client.states[BAD].position == 40
    assert fetches.position(GOOD) == 10
    client.fetched(BAD, 40, 41)
    assert await take(fetches) == {BAD: [40, 41]}
    assert fetches.taken_away() == {}
    assert fetches.bad_batches == {}
    assert fetches.position(BAD) == 42


async def test_a_batch_that_can_not_be_read_is_fetched_again_by_the_next_call_and_not_before() -> (
    None
):
    """Who holds the partition back for a while would else look at what was fetched before it."""
    client = Client()
    fetches = PartitionFetches(client)
    client.fetched_broken(BAD)
    taking = asyncio.ensure_future(fetches.take(timeout_s=600, max_records=100, room=None))
    await settle()
    client.fetched(GOOD, 7)
    client.waiters[-1].set_result(None)
    assert list(await taking) == [GOOD]
    assert fetches.bad_batches == {BAD: BadBatch(40, "its checksum is wrong")}
    assert client.holds(BAD)
    assert await take(fetches) == {}
    assert not client.holds(BAD)


async def test_a_partition_that_begins_again_leaves_no_error_in_the_log(
    complaints: list[dict[str, Any]],
) -> None:
    """Asyncio wrote "exception was never retrieved" each time that a topic was made again."""
    waiter = asyncio.get_running_loop().create_future()

    class Resetting(Client):
        def request_offset_reset(self, *_: object) -> "asyncio.Future[Any]":
            return asyncio.gather(asyncio.shield(waiter))

    PartitionFetches(Resetting()).seek_to_beginning([BAD])
    for _ in range(3):  # the gathered ones' turns
        await asyncio.sleep(0)
    gc.collect()
    assert complaints == []
    assert not waiter.cancelled()
