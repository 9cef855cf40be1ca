"""Topics that come and go under a running service, and what is checked of them at its start."""

import asyncio
from collections.abc import Iterable

import pytest

from consumer.delivery.topic_watch import EVERY_S
from runtime.kafka.errors import Unreachable
from runtime.kafka.protocol import Partition, TopicFacts
from tests.consumer.delivery.rig import Rig, numbered, options, running
from tests.runtime.fake_clock import settle
from tests.runtime.kafka.fake_kafka import FakeConsumer, FakeKafka, FakeLog


def test_a_topic_that_is_created_again_is_noticed_and_found_within_a_minute() -> None:
    """Its id is looked at, and then the client must learn where its partitions are."""
    assert EVERY_S + options().metadata_max_age_s <= 60


@pytest.mark.parametrize("topic", ["affect.events", "affect.dlq"])
async def test_a_deleted_output_topic_ends_the_service_with_exit_2_and_says_so(topic: str) -> None:
    rig = Rig()
    rig.start()
    await rig.turn(5)
    for partition in [one for one in rig.kafka.logs if one.topic == topic]:
        del rig.kafka.logs[partition]
    assert await rig.end(3 * EVERY_S) == 2
    assert f"the topic {topic} was deleted" in str(rig.service.error)
    assert "emostream topics create" in str(rig.service.error)


async def test_an_output_topic_that_is_missing_in_one_look_only_ends_nothing() -> None:
    rig = Rig()
    async with running(rig):
        log = rig.kafka.logs.pop(Partition("affect.dlq", 0))
        await rig.turn(EVERY_S)
        rig.kafka.logs[Partition("affect.dlq", 0)] = log
        await rig.turn(3 * EVERY_S)
        assert rig.service.error is None


async def test_a_deleted_input_topic_is_waited_for() -> None:
    rig = Rig()
    rig.kafka.produce("posts", numbered(3))
    async with running(rig):
        await rig.turn(2)
        log = rig.kafka.logs[Partition("posts", 0)]
        log.records.clear()
        rig.kafka.topic_ids["posts"] = "another"
        await rig.turn(300)
        rig.kafka.logs[Partition("posts", 0)] = FakeLog()
        rig.kafka.consumers[0]._positions[Partition("posts", 0)] = 0
        rig.kafka.produce("posts", numbered(4, "new"))
        await rig.turn(60)
        assert len(rig.events()) == 7
        assert rig.service.error is None


async def test_a_compacted_dead_letter_topic_is_refused_with_exit_2() -> None:
    rig = Rig()
    rig.kafka.compacted = {"affect.dlq"}
    rig.start()
    assert await rig.end() == 2
    assert "affect.dlq is compacted" in str(rig.service.error)
    assert "cleanup.policy" in str(rig.service.error)


@pytest.mark.parametrize(
    ("topic", "allowed", "missing"),
    [
        ("posts", {"describe", "write"}, "READ"),
        ("affect.events", {"describe", "read"}, "WRITE"),
        ("affect.dlq", {"describe", "read"}, "WRITE"),
        ("emostream", {"describe"}, "READ"),
    ],
)
async def test_a_missing_right_is_told_before_the_group_is_joined(
    topic: str, allowed: set[str], missing: str
) -> None:
    rig = Rig()
    rig.kafka.operations = {topic: frozenset(allowed)}
    rig.start()
    assert await rig.end() == 3
    assert f"grant {missing}" in str(rig.service.error)
    assert topic in str(rig.service.error)
    assert rig.kafka.groups["emostream"].members == []


async def test_a_group_that_may_not_even_be_asked_about_is_told_before_it_is_joined() -> None:
    rig = Rig()
    rig.kafka.group_denied = True
    rig.start()
    assert await rig.end() == 3
    assert "use the group emostream: grant READ on it" in str(rig.service.error)
    assert rig.kafka.groups["emostream"].members == []


async def test_what_old_brokers_do_not_tell_is_not_missed() -> None:
    kafka = FakeKafka({"posts.a": 1, "affect.events": 1, "affect.dlq": 1})
    kafka.operations = {"posts.a": frozenset()}
    rig = Rig(kafka, kafka_options=options(input_topics=(), input_pattern=r"posts\..*"))
    rig.kafka.clock = rig.clock
    async with running(rig):
        await rig.turn(2 * EVERY_S)
        assert rig.service.error is None


async def test_a_topic_of_a_pattern_is_known_while_the_client_is_between_two_assignments() -> None:
    """Aiokafka forgets its assignment when the pattern takes another topic, and tells it later.

    A transaction of exactly-once was undone then, "the topic posts is gone".
    """
    rig = Rig(kafka_options=options(input_topics=(), input_pattern="posts"))
    rig.kafka.produce("posts", numbered(3))
    async with running(rig):
        await rig.turn(2)
        consumer = rig.kafka.consumers[0]
        assigned, consumer._assigned = consumer._assigned, frozenset()
        assert await rig.service._topics().same_topic("posts")
        consumer._assigned = assigned


async def test_a_question_without_an_answer_confirms_no_topic_to_those_who_waited_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor does the answer before: the topic may have been created again since."""
    rig = Rig()
    async with running(rig):
        (consumer,) = rig.kafka.consumers
        ask, gate, asked = consumer.topic_facts, asyncio.Event(), 0

        async def topic_facts(topics: Iterable[str], *, timeout_s: float) -> dict[str, TopicFacts]:
            nonlocal asked
            asked += 1
            if asked == 1:
                await gate.wait()
            if asked == 2:
                raise Unreachable("no answer")
            return await ask(topics, timeout_s=timeout_s)

        monkeypatch.setattr(consumer, "topic_facts", topic_facts)
        watch = rig.service._topics()
        first = asyncio.ensure_future(watch.look())
        await settle()
        others = [asyncio.ensure_future(watch.same_topic("posts")) for _ in range(3)]
        await settle()
        gate.set()
        await first
        rig.kafka.create_again("posts")
        assert isinstance((await asyncio.gather(*others, return_exceptions=True))[0], Unreachable)
        assert asked == 3


async def test_nothing_is_committed_of_a_topic_that_is_gone_when_it_is_first_asked_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is of no brokers that are too old to tell: they know the output topics."""
    ask, gone = FakeConsumer.topic_facts, True

    async def topic_facts(
        consumer: FakeConsumer, topics: Iterable[str], *, timeout_s: float
    ) -> dict[str, TopicFacts]:
        facts = await ask(consumer, topics, timeout_s=timeout_s)
        return {topic: one for topic, one in facts.items() if not (gone and topic == "posts")}

    monkeypatch.setattr(FakeConsumer, "topic_facts", topic_facts)
    rig = Rig(kafka_options=options(input_topics=(), input_pattern="posts"))
    rig.kafka.produce("posts", numbered(3))
    async with running(rig):
        await rig.turn(5)
        assert rig.committed is None
        gone = False
        await rig.turn(5)
        assert rig.committed == 3
