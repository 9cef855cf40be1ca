"""An offset that is committed on a topic, and is of one that had its name before."""

from consumer.delivery.topic_watch import VERIFY_S
from runtime.kafka.errors import Unreachable
from runtime.kafka.offset_metadata import offset_metadata
from runtime.kafka.protocol import TopicFacts
from tests.consumer.delivery.rig import GROUP, POSTS, Rig, numbered, running
from tests.runtime.kafka.fake_kafka import FakeKafka

THE_OTHER = offset_metadata(TopicFacts("another", frozenset(), "fake-cluster"))


def kafka_with(offset: int, metadata: str) -> Rig:
    """Eight posts, and a group that has committed this."""
    rig = Rig()
    rig.kafka.produce("posts", numbered(8))
    rig.kafka.groups[GROUP].committed[POSTS] = offset
    rig.kafka.groups[GROUP].metadata[POSTS] = metadata
    return rig


async def test_who_follows_a_killed_consumer_reads_a_topic_created_again_from_its_start() -> None:
    first = Rig()
    first.kafka.produce("posts", numbered(5, "old"))
    async with running(first):
        await first.turn(2)
        first.processor.hold(b"late-0000")
        first.kafka.produce("posts", numbered(1, "late"))
        await first.turn(0.5)
        first.kafka.create_again("posts")
        first.processor.release()
        await first.turn(2)
        assert first.committed == 6  # of the old topic, on the new one
        first.service.abandon()
        await first.end()
    first.kafka.produce("posts", numbered(9, "new"))
    second = Rig(first.kafka, clock=first.clock)
    async with running(second):
        await second.turn(2)
        assert set(numbered(9, "new")) <= set(second.events())
        assert second.committed == 9
        assert second.seen.created_again == 1


async def test_a_member_that_gets_the_partition_in_a_rebalance_reads_it_from_its_start() -> None:
    rig = Rig()
    rig.kafka.produce("posts", numbered(5, "old"))
    async with running(rig):
        await rig.turn(2)
        rig.kafka.create_again("posts")
        rig.kafka.produce("posts", numbered(9, "new"))
        rig.kafka.groups[GROUP].committed[POSTS] = 5
        await rig.kafka.rebalance(GROUP)
        await rig.turn(2)
        assert set(numbered(9, "new")) <= set(rig.events())
        assert rig.committed == 9


async def test_the_next_member_of_the_same_topic_begins_at_the_committed_offset() -> None:
    rig = kafka_with(5, offset_metadata(TopicFacts("id", frozenset(), "fake-cluster")))
    async with running(rig):
        await rig.turn(2)
        assert rig.events() == numbered(8)[5:]
        assert rig.seen.created_again == 0


async def test_an_offset_of_another_topic_is_not_believed() -> None:
    rig = kafka_with(5, THE_OTHER)
    async with running(rig):
        await rig.turn(2)
        assert rig.events() == numbered(8)
        assert rig.committed == 8
        assert rig.kafka.groups[GROUP].metadata[POSTS] != THE_OTHER


async def test_offsets_without_metadata_and_with_that_of_other_programs_are_believed() -> None:
    """An older version of ours, a human with Kafka's own tool, another client."""
    for metadata in ("", "set by hand", "topic-id", "topic-id=;cluster-id=fake-cluster", "=;;="):
        rig = kafka_with(5, metadata)
        async with running(rig):
            await rig.turn(2)
            assert rig.events() == numbered(8)[5:], metadata


async def test_offsets_that_were_copied_from_another_cluster_are_believed() -> None:
    """MirrorMaker translates them for its copy of the topic, and copies their metadata."""
    rig = kafka_with(5, offset_metadata(TopicFacts("another", frozenset(), "there")))
    async with running(rig):
        await rig.turn(2)
        assert rig.events() == numbered(8)[5:]


async def test_brokers_that_give_topics_no_id_are_believed() -> None:
    rig = kafka_with(5, THE_OTHER)
    rig.kafka.topic_ids["posts"] = ""
    async with running(rig):
        await rig.turn(2)
        assert rig.events() == numbered(8)[5:]
        assert rig.committed == 8
        assert rig.kafka.groups[GROUP].metadata[POSTS] == ""


async def test_nothing_is_committed_before_it_is_known_of_which_topic_the_offsets_are() -> None:
    rig = kafka_with(5, THE_OTHER)
    rig.kafka.committed_faults = [Unreachable("no answer") for _ in range(6)]
    async with running(rig):
        await rig.turn(VERIFY_S + 0.5)
        assert rig.events() == numbered(8)[5:]
        assert rig.committed == 5
        await rig.turn(6)
        assert sorted({value for value in rig.events() if value}) == numbered(8)
        assert rig.committed == 8


async def test_a_group_that_does_not_tell_its_offsets_keeps_reading_waiting_for_two_seconds() -> (
    None
):
    """No heartbeat is sent meanwhile: the group would throw this member out."""
    rig = kafka_with(5, THE_OTHER)
    rig.kafka.committed_takes_s = 60.0
    async with running(rig):
        await rig.turn(VERIFY_S + 0.5)
        assert rig.events() == numbered(8)[5:]
        assert rig.service.snapshot().joined
        rig.kafka.committed_takes_s = 0.0
        await rig.turn(6)
        assert sorted({value for value in rig.events() if value}) == numbered(8)
        assert rig.committed == 8


async def test_what_a_rebalance_raises_ends_the_service_with_status_1() -> None:
    """By itself aiokafka would log it and go on."""
    rig = Rig(FakeKafka({"posts": 1, "affect.events": 2, "affect.dlq": 1}))
    rig.kafka.clock = rig.clock
    rig.start()
    await rig.turn(1)
    rig.seen.rebalanced = lambda assigned: 1 / 0  # type: ignore[method-assign,assignment]
    await rig.kafka.rebalance(GROUP)
    assert await rig.end() == 1
    assert isinstance(rig.service.error, ZeroDivisionError)
