"""What exactly-once asks of Kafka's transactions, asked of the fake and of the real one alike."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import pytest

from runtime.kafka.errors import Fenced, KafkaFault, RecordTooLarge
from runtime.kafka.protocol import OffsetAndMetadata, Partition, TransactionalProducer
from tests.runtime.kafka.clusters import WITHIN_S, Cluster, Member, send

Make = Callable[..., "asyncio.Future[TransactionalProducer]"]


@pytest.fixture
async def transactional(cluster: Cluster) -> AsyncIterator[Make]:
    """Starts producers for transactions; stops them at the end."""
    async with AsyncExitStack() as stack:

        async def start(name: str = "one") -> TransactionalProducer:
            id_ = f"{cluster.options.group_id}/{name}"
            producer = cluster.brokers().transactional_producer(id_)
            stack.push_async_callback(producer.stop, timeout_s=5)
            async with asyncio.timeout(WITHIN_S):
                await producer.start()
            return producer

        yield lambda name="one": asyncio.ensure_future(start(name))


def places(cluster: Cluster) -> tuple[Partition, Partition]:
    (topic,) = cluster.options.input_topics
    return Partition(topic, 0), Partition(topic, 1)


async def fault(producer: TransactionalProducer, trying: Coroutine[Any, Any, None]) -> KafkaFault:
    """How a try fails."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever the client raises
        await asyncio.wait_for(trying, WITHIN_S)
    return producer.fault(caught.value)


async def test_what_a_transaction_holds_is_read_once_it_is_committed_and_not_before(
    cluster: Cluster, members: Callable[..., Member], transactional: Make
) -> None:
    topic, _ = places(cluster)[0]
    producer, reader = await transactional(), members()
    await reader.join()
    await reader.look_until(lambda: bool(reader.consumer.assignment()))
    await producer.begin()
    await send(producer, topic, [b"a", b"b"], key=b"k")
    for _ in range(3):
        assert await reader.look() == 0
    await producer.commit()
    await reader.look_until(lambda: sorted(map(str, reader.values())) == ["b'a'", "b'b'"])


async def test_what_is_aborted_is_never_read_and_position_and_end_meet_behind_it(
    cluster: Cluster, members: Callable[..., Member], transactional: Make
) -> None:
    topic, _ = places(cluster)[0]
    producer, reader = await transactional(), members()
    await reader.join()
    await reader.look_until(lambda: bool(reader.consumer.assignment()))
    await producer.begin()
    await send(producer, topic, [b"undone"] * 3, key=b"k")
    await producer.abort()
    await producer.begin()
    await send(producer, topic, [b"done"], key=b"k")
    await producer.commit()
    consumer = reader.consumer
    await reader.look_until(
        lambda: (
            all(
                consumer.position(one) is not None
                and consumer.position(one) == consumer.high_water(one)
                for one in places(cluster)
            )
            and bool(reader.got)
        )
    )
    assert reader.values() == [b"done"]
    ends = await consumer.end_offsets(places(cluster), timeout_s=WITHIN_S)
    assert ends == {one: consumer.position(one) for one in places(cluster)}
    assert sum(ends.values()) > 4, "markers have offsets, too"


async def test_offsets_of_a_transaction_keep_their_words_and_whoever_fences_sees_them(
    cluster: Cluster, members: Callable[..., Member], transactional: Make
) -> None:
    place, _ = places(cluster)
    producer, reader = await transactional(), members()
    await reader.consumer.start()
    at = OffsetAndMetadata(7, "topic-id=x;cluster-id=y")
    await producer.begin()
    await producer.send_offsets({place: at}, cluster.options.group_id)
    assert await reader.consumer.committed((place,), timeout_s=WITHIN_S) == {}
    await producer.commit()
    # The brokers write it to the group's log after they have answered: a start waits for that.
    await transactional()
    assert await reader.consumer.committed((place,), timeout_s=WITHIN_S) == {place: at}


async def test_offsets_of_an_aborted_transaction_are_not_committed(
    cluster: Cluster, members: Callable[..., Member], transactional: Make
) -> None:
    place, _ = places(cluster)
    producer, reader = await transactional(), members()
    await reader.consumer.start()
    await producer.begin()
    await producer.send_offsets({place: OffsetAndMetadata(7)}, cluster.options.group_id)
    await producer.abort()
    assert await reader.consumer.committed((place,), timeout_s=WITHIN_S) == {}


async def test_a_newer_producer_undoes_what_is_open_and_the_older_one_can_write_nothing(
    cluster: Cluster, members: Callable[..., Member], transactional: Make
) -> None:
    place, _ = places(cluster)
    older, reader = await transactional(), members()
    await older.begin()
    await send(older, place.topic, [b"of the zombie"], key=b"k")
    newer = await transactional()

    async def go_on() -> None:
        await older.send_offsets({place: OffsetAndMetadata(9)}, cluster.options.group_id)
        await older.commit()

    assert isinstance(await fault(older, go_on()), Fenced)
    await newer.begin()
    await send(newer, place.topic, [b"of the owner"], key=b"k")
    await newer.send_offsets({place: OffsetAndMetadata(1)}, cluster.options.group_id)
    await newer.commit()
    await transactional()
    await reader.join()
    await reader.look_until(lambda: bool(reader.got))
    await reader.look()
    assert reader.values() == [b"of the owner"]
    committed = await reader.consumer.committed((place,), timeout_s=WITHIN_S)
    assert committed == {place: OffsetAndMetadata(1)}


async def test_a_zombie_that_begins_after_it_was_fenced_can_write_nothing(
    cluster: Cluster, transactional: Make
) -> None:
    place, _ = places(cluster)
    older = await transactional()
    await transactional()

    async def begin() -> None:
        await older.begin()
        await send(older, place.topic, [b"of the zombie"], key=b"k")

    assert isinstance(await fault(older, begin()), Fenced)


async def test_a_refused_record_says_why_and_a_new_producer_undoes_the_rest(
    cluster: Cluster, transactional: Make
) -> None:
    small = cluster.options.output_topic
    producer = await transactional()
    await producer.begin()
    await send(producer, small, [b"fits"])
    future = await producer.send(small, key=None, value=b"x" * 5_000, headers=())
    async with asyncio.timeout(WITHIN_S):
        await asyncio.wait((future,))
    error = future.exception()
    assert error is not None
    assert isinstance(producer.fault(error), RecordTooLarge)
    again = await transactional()
    await again.begin()
    await send(again, small, [b"fits"])
    await again.commit()


async def test_seeking_goes_to_an_offset_whatever_was_fetched(
    cluster: Cluster, members: Callable[..., Member], producer: TransactionalProducer
) -> None:
    topic, _ = places(cluster)[0]
    await send(producer, topic, [b"%d" % number for number in range(6)], key=b"k")
    member = members()
    await member.join()
    await member.look_until(lambda: len(member.got) == 6)
    partition, last = Partition(*member.got[-1][0]), member.got[-1][1]
    member.consumer.seek(partition, last.offset)
    assert member.consumer.position(partition) == last.offset
    await member.look_until(lambda: len(member.got) == 7)
    assert member.got[-1][1].value == last.value
