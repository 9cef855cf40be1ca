"""Making topics on the real broker."""

from __future__ import annotations

import secrets
from dataclasses import replace

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from infra.kafka import (
    EmbeddedKafka,
    TopicsError,
    TopicSpec,
    TopicStatus,
    create_topics,
    default_topics,
)
from tests.topics import topic_names


async def test_all_default_topics_are_made_once_and_then_found_as_they_are(
    kafka: EmbeddedKafka,
) -> None:
    options, specs = {"bootstrap_servers": kafka.bootstrap}, default_topics(topic_names())
    first = await create_topics(options, specs)
    again = await create_topics(options, specs)
    assert [result.name for result in first] == [spec.name for spec in specs]
    assert {result.status for result in first} == {TopicStatus.CREATED}
    assert {result.status for result in again} == {TopicStatus.EXISTED}


async def test_a_topic_that_differs_is_reported_and_left_as_it_is(kafka: EmbeddedKafka) -> None:
    options = {"bootstrap_servers": kafka.bootstrap}
    name = f"t-{secrets.token_hex(4)}"
    made = TopicSpec(name, 2, config={"retention.ms": "1000", "cleanup.policy": "delete"})
    await create_topics(options, [made])
    wanted = replace(made, partitions=3, config={"retention.ms": "2000"})
    for _ in range(2):  # reported again: nothing was changed
        (result,) = await create_topics(options, [wanted])
        assert result.status is TopicStatus.DIFFERS
        assert result.differences == {
            "partitions": ("3", "2"),
            "retention.ms": ("2000", "1000"),
        }
    assert "retention.ms is 1000, not 2000" in str(result)


async def test_lists_in_another_order_do_not_differ(kafka: EmbeddedKafka) -> None:
    options = {"bootstrap_servers": kafka.bootstrap}
    spec = TopicSpec(f"t-{secrets.token_hex(4)}", 1, config={"cleanup.policy": "compact,delete"})
    await create_topics(options, [spec])
    other = replace(spec, config={"cleanup.policy": "delete,compact"})
    assert [r.status for r in await create_topics(options, [other])] == [TopicStatus.EXISTED]


async def test_a_refused_topic_is_named_with_its_reason_and_the_others_are_made(
    kafka: EmbeddedKafka,
) -> None:
    options = {"bootstrap_servers": kafka.bootstrap}
    good = TopicSpec(f"t-{secrets.token_hex(4)}", 1)
    bad = TopicSpec(f"t-{secrets.token_hex(4)}", 1, config={"retention.ms": "soon"})
    many = TopicSpec(f"t-{secrets.token_hex(4)}", 1, replication_factor=3)
    with pytest.raises(TopicsError, match=r"retention\.ms") as caught:
        await create_topics(options, [bad, good, many])
    assert set(caught.value.reasons) == {bad.name, many.name}
    assert "lower it" in caught.value.reasons[many.name]
    assert [r.status for r in await create_topics(options, [good])] == [TopicStatus.EXISTED]


async def test_whatever_fits_into_posts_fits_as_a_dead_letter_with_its_headers(
    kafka: EmbeddedKafka,
) -> None:
    names = topic_names()
    await create_topics({"bootstrap_servers": kafka.bootstrap}, default_topics(names))
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap, max_request_size=16 * 1024 * 1024
    )
    await producer.start()
    try:
        longest = secrets.token_bytes(4 * 1024 * 1024 - 200)
        await producer.send_and_wait(names.posts, longest)
        headers = [("__emostream.errors.message", b"x" * 100_000)]
        await producer.send_and_wait(names.dead_letters, longest, headers=headers)
        with pytest.raises(MessageSizeTooLargeError):
            await producer.send_and_wait(names.posts, longest + b"x" * 200)
    finally:
        await producer.stop()
