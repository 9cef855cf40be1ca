"""Making topics on the real broker."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.cluster import ClusterMetadata
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


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """The first two answers of each client, and another one, name no broker; gives how many did.

    So answers a broker that hung until its lease ran out.
    """
    update, seen = ClusterMetadata.update_metadata, dict[ClusterMetadata, int]()
    describe, described = AIOKafkaAdminClient.describe_cluster, 0

    def without(cluster: ClusterMetadata, metadata: Any) -> Any:
        seen[cluster] = seen.get(cluster, 0) + 1
        if seen[cluster] <= 2:
            metadata.brokers = []
        return update(cluster, metadata)

    async def describe_cluster(admin: AIOKafkaAdminClient) -> dict[str, Any]:
        nonlocal described
        described += 1
        found: dict[str, Any] = await describe(admin)
        return found | {"brokers": []} if described == 1 else found

    monkeypatch.setattr(ClusterMetadata, "update_metadata", without)
    monkeypatch.setattr(AIOKafkaAdminClient, "describe_cluster", describe_cluster)
    return lambda: described


async def test_brokers_that_name_none_of_the_cluster_are_asked_again(
    kafka: EmbeddedKafka, nobody: Callable[[], int]
) -> None:
    """A topic of no copies was asked for, and refused."""
    spec = TopicSpec(f"late-{secrets.token_hex(4)}", partitions=1)
    (result,) = await create_topics({"bootstrap_servers": kafka.bootstrap}, [spec])
    assert result.status is TopicStatus.CREATED
    assert nobody() == 2


async def test_where_no_broker_is_ever_named_it_says_so(
    kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def describe_cluster(_: AIOKafkaAdminClient) -> dict[str, Any]:
        return {"brokers": []}

    monkeypatch.setattr(AIOKafkaAdminClient, "describe_cluster", describe_cluster)
    options = {"bootstrap_servers": kafka.bootstrap}
    with pytest.raises(TopicsError, match="never: the cluster's metadata name no broker"):
        await create_topics(options, [TopicSpec("never")], timeout_s=0.1)


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
