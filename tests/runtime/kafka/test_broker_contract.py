"""What the service asks of Kafka, asked of the fake and of the real one alike."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from runtime.kafka.aiokafka_brokers import AiokafkaBrokers
from runtime.kafka.errors import Fenced, ProducerLost, RecordTooLarge, Unreachable
from runtime.kafka.protocol import KafkaProducer, OffsetAndMetadata, Partition
from tests.runtime.kafka.clusters import WITHIN_S, Cluster, Member, kafka_options, send


async def test_a_record_comes_as_it_was_sent(
    cluster: Cluster, members: Callable[..., Member], producer: KafkaProducer
) -> None:
    (topic,) = cluster.options.input_topics
    headers = (("a", b"1"), ("a", b""), ("b", None))
    await send(producer, topic, [b"value", b"", None], key=b"key", headers=headers)
    member = members()
    await member.join()
    await member.look_until(lambda: len(member.got) == 3)
    assert {record.value for _, record in member.got} == {b"value", b"", None}
    for _, record in member.got:
        assert record.key == b"key"
        assert tuple(record.headers) == headers
        assert record.timestamp > 1_500_000_000_000


async def test_a_record_without_key_and_value_goes_through(
    cluster: Cluster, members: Callable[..., Member], producer: KafkaProducer
) -> None:
    (topic,) = cluster.options.input_topics
    await send(producer, topic, [None])
    member = members()
    await member.join()
    await member.look_until(lambda: len(member.got) == 1)
    assert (member.got[0][1].key, member.got[0][1].value) == (None, None)


async def test_offsets_of_a_partition_only_grow_and_looks_keep_to_their_number(
    cluster: Cluster, members: Callable[..., Member], producer: KafkaProducer
) -> None:
    (topic,) = cluster.options.input_topics
    await send(producer, topic, [b"%d" % number for number in range(50)])
    member = members()
    await member.join()
    async with asyncio.timeout(WITHIN_S):
        while len(member.got) < 50:
            assert await member.look(max_records=7) <= 7
    for number in range(2):
        offsets = [r.offset for one, r in member.got if one == (topic, number)]
        assert offsets == sorted(set(offsets))


async def test_the_next_member_begins_at_the_committed_offset(
    cluster: Cluster, members: Callable[..., Member], producer: KafkaProducer
) -> None:
    (topic,) = cluster.options.input_topics
    await send(producer, topic, [b"%d" % number for number in range(20)])
    first = members()
    await first.join()
    await first.look_until(lambda: len(first.got) == 20)
    per_partition = {
        Partition(topic, number): [r.offset for one, r in first.got if one == (topic, number)]
        for number in range(2)
    }
    offsets = {
        one: OffsetAndMetadata(seen[len(seen) // 2], "some words")
        for one, seen in per_partition.items()
        if seen
    }
    await first.consumer.commit(offsets)
    assert await first.consumer.committed(per_partition, timeout_s=10) == offsets
    await first.consumer.stop()
    second = members()
    await second.join()
    left = sum(len(seen) - len(seen) // 2 for seen in per_partition.values())
    await second.look_until(lambda: len(second.got) == left)
    for partition, record in second.got:
        assert record.offset >= offsets[Partition(*partition)].offset


async def test_stop_calls_no_revoke_and_commits_nothing(
    cluster: Cluster, members: Callable[..., Member], producer: KafkaProducer
) -> None:
    (topic,) = cluster.options.input_topics
    await send(producer, topic, [b"a"])
    first = members()
    await first.join()
    await first.look_until(lambda: bool(first.got))
    calls = list(first.calls)
    await first.consumer.stop()
    assert first.calls == calls
    second = members()
    await second.join()
    await second.look_until(lambda: second.values() == [b"a"])


async def test_while_paused_looks_go_on_and_nothing_is_lost(
    cluster: Cluster, members: Callable[..., Member], producer: KafkaProducer
) -> None:
    (topic,) = cluster.options.input_topics
    member = members()
    await member.join()
    await member.look_until(lambda: bool(member.consumer.assignment()))
    await send(producer, topic, [b"%d" % number for number in range(30)])
    await member.look_until(lambda: bool(member.got))
    member.consumer.pause()
    got = len(member.got)
    for _ in range(5):
        assert await member.look() == 0
    assert len(member.got) == got
    member.consumer.resume()
    await member.look_until(lambda: len(member.got) == 30)
    assert len(set(member.values())) == 30


async def test_what_retention_takes_away_before_it_is_read_is_told_once(
    cluster: Cluster, members: Callable[..., Member], producer: KafkaProducer
) -> None:
    (topic,) = cluster.options.input_topics
    await send(producer, topic, [b"one"] * 50, key=b"key")  # all to one partition
    member = members()
    await member.join()
    await member.look_until(lambda: len(member.got) == 50)
    partition = member.got[0][0]
    member.consumer.pause()
    # A fetch that the broker gets later would bring what comes now.
    await cluster.nothing_under_way(member.consumer)
    assert await member.look() == 0
    await send(producer, topic, [b"one"] * 50, key=b"key")
    await cluster.retain(partition, 80)
    assert member.consumer.taken_away() == {}
    member.consumer.resume()
    await member.look_until(lambda: len(member.got) == 70)
    assert [record.offset for _, record in member.got[50:]] == list(range(80, 100))
    assert member.consumer.taken_away() == {partition: 30}
    assert member.consumer.taken_away() == {}
    assert member.consumer.position(partition) == 100


async def test_a_member_that_joins_takes_its_share_and_everything_is_revoked_before(
    cluster: Cluster, members: Callable[..., Member]
) -> None:
    first, second = members(), members()
    await first.join()
    await first.look_until(lambda: len(first.consumer.assignment()) == 2)
    await second.join()

    async def look(member: Member) -> None:
        await member.look_until(lambda: len(member.consumer.assignment()) == 1)

    looks: list[Coroutine[Any, Any, None]] = [look(first), look(second)]
    await asyncio.gather(*looks)
    named = [call for call in first.calls if call[1]]
    assert [name for name, _ in named] == ["assigned", "revoked", "assigned"]
    assert named[0][1] == named[1][1]
    assert first.consumer.assignment() | second.consumer.assignment() == named[0][1]


async def test_position_and_high_water_meet_at_the_end_of_the_log(
    cluster: Cluster, members: Callable[..., Member], producer: KafkaProducer
) -> None:
    (topic,) = cluster.options.input_topics
    await send(producer, topic, [b"%d" % number for number in range(9)])
    member = members()
    await member.join()
    both = [Partition(topic, number) for number in range(2)]
    assert member.consumer.position(both[0]) is None
    assert member.consumer.high_water(both[0]) is None
    consumer = member.consumer
    await member.look_until(
        lambda: (
            len(member.got) == 9
            and all(consumer.position(one) == consumer.high_water(one) for one in both)
        )
    )
    ends = await consumer.end_offsets(both, timeout_s=WITHIN_S)
    assert ends == {one: consumer.position(one) for one in both}
    assert sum(ends.values()) == 9


async def test_asking_for_topics_names_them_and_makes_none(
    cluster: Cluster, members: Callable[..., Member]
) -> None:
    member = members(input_topics=("not-there",))
    await member.consumer.start()
    topics = await member.consumer.topics()
    assert set(cluster.options.input_topics) <= topics
    assert "not-there" not in await member.consumer.topics()


async def test_a_pattern_takes_whole_names_only(
    cluster: Cluster, members: Callable[..., Member], producer: KafkaProducer
) -> None:
    (topic,) = cluster.options.input_topics
    await send(producer, topic, [b"a"])
    member = members(input_topics=(), input_pattern=topic[:-1] + ".")
    await member.join()
    await member.look_until(lambda: member.values() == [b"a"])
    other = members(input_topics=(), input_pattern=topic[:-1], group_id="other")
    await other.join()
    async with asyncio.timeout(WITHIN_S):
        while not other.calls and cluster.options.bootstrap == "fake:9092":
            await other.look()
    assert all(not partitions for _, partitions in other.calls)


async def test_too_large_a_record_is_refused_and_its_producer_lost_but_not_a_new_one(
    cluster: Cluster, producer: KafkaProducer
) -> None:
    small = cluster.options.output_topic

    async def failure(value: bytes) -> BaseException:
        future = await producer.send(small, key=None, value=value, headers=())
        async with asyncio.timeout(WITHIN_S):
            await asyncio.wait((future,))
        error = future.exception()
        assert error is not None
        return producer.fault(error)

    await send(producer, small, [b"fits"])
    assert isinstance(await failure(b"x" * 5_000), RecordTooLarge)
    assert isinstance(await failure(b"fits"), ProducerLost)
    fresh = cluster.producer()
    await fresh.start()
    try:
        await send(fresh, small, [b"fits"])
    finally:
        await fresh.stop(timeout_s=5)


async def test_a_commit_of_a_member_that_was_thrown_out_is_fenced(
    cluster: Cluster, members: Callable[..., Member]
) -> None:
    # Not by the brokers, before its first commit, where this process is held up.
    member = members(session_timeout_s=60.0, heartbeat_interval_s=1.0)
    await member.join()
    await member.look_until(lambda: bool(member.consumer.assignment()))
    partition = min(member.consumer.assignment())
    await member.consumer.commit({partition: OffsetAndMetadata(0)})
    _throw_out(member.consumer)
    with pytest.raises(Fenced):
        await member.consumer.commit({partition: OffsetAndMetadata(0)})


def _throw_out(consumer: Any) -> None:
    """As a heartbeat that is answered by "unknown member" does."""
    if hasattr(consumer, "kick"):
        consumer.kick()
    else:
        consumer._consumer._coordinator.reset_generation()


async def test_brokers_that_do_not_answer_are_unreachable_and_nothing_is_left_open() -> None:
    brokers = AiokafkaBrokers(kafka_options("127.0.0.1:1"))
    with pytest.raises(Unreachable):
        await brokers.consumer().start()
    with pytest.raises(Unreachable):
        await brokers.producer().start()


async def test_every_client_is_told_the_same_id_of_the_cluster(cluster: Cluster) -> None:
    first = await cluster.brokers().cluster_id()
    assert first
    assert await cluster.brokers().cluster_id() == first
