"""Which of the consumer's rights this user lacks at the brokers: asked before it matters."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.transaction import InitProducerIdRequest

from runtime.kafka.group_rights import group_operations
from runtime.kafka.options import KafkaOptions
from runtime.kafka.topic_facts import topic_facts


class Right(NamedTuple):
    """One right that the consumer needs."""

    operation: str
    """Kafka's name of it, such as READ."""
    resource: str
    """`topic`, `group` or `cluster`."""
    name: str
    """Which topic or group; empty for the cluster."""

    def __str__(self) -> str:
        """As a person would ask for it."""
        return f"{self.operation} on {f'{self.resource} {self.name}'.rstrip()}"


async def missing_rights(
    admin: AIOKafkaAdminClient, options: KafkaOptions, input_topics: Iterable[str]
) -> list[Right]:
    """Which of the rights that the consumer needs this user has not.

    `input_topics` are those that exist and will be read. Changes nothing: the brokers hand out a
    producer's id that nobody uses. What they don't tell is taken for granted.

    Raises:
        aiokafka.errors.KafkaError: no broker answers.
    """
    client = admin._client  # noqa: SLF001
    needed = [
        *(Right("READ", "topic", topic) for topic in sorted(input_topics)),
        Right("WRITE", "topic", options.output_topic),
        Right("WRITE", "topic", options.dlq_topic),
    ]
    facts = await topic_facts(client, {right.name for right in needed})
    missing = []
    for right in needed:
        allowed = facts[right.name].operations if right.name in facts else frozenset()
        if allowed and right.operation.lower() not in allowed:
            missing.append(right)
    reads_group = Right("READ", "group", options.group_id)
    try:
        allowed = await group_operations(client, options.group_id)
    except GroupAuthorizationFailedError:
        missing.append(reads_group)
    else:
        if allowed and "read" not in allowed:
            missing.append(reads_group)
    node = client.get_random_node()
    answer: Any = await client.send(node, InitProducerIdRequest(None, 60_000))
    # Since Kafka 3.0 WRITE on any topic suffices.
    if for_code(answer.error_code) is ClusterAuthorizationFailedError:
        missing.append(Right("IDEMPOTENT_WRITE", "cluster", ""))
    return missing
