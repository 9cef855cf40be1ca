"""What aiokafka 0.14's consumer doesn't ask of topics: ids, our rights, clean-up, retention."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from aiokafka.errors import IncompatibleBrokerVersion, NodeNotReadyError
from aiokafka.protocol.admin import DescribeConfigsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from runtime.kafka.protocol import TopicFacts

_OPERATIONS = {
    3: "read",
    4: "write",
    5: "create",
    6: "delete",
    7: "alter",
    8: "describe",
    10: "describe_configs",
    11: "alter_configs",
}
"""Bits of `authorized_operations` (Kafka's AclOperation)."""
_UNKNOWN = -(2**31)
_NO_ID = bytes(16)
_UNKNOWN_TOPIC = 3
_TOPIC_RESOURCE = 2
_CLEANUP = "cleanup.policy"
_RETENTION = "retention.ms"
_TIMESTAMPS = "message.timestamp.type"


class _Uuid:
    """16 bytes, as Kafka writes them."""

    @staticmethod
    def encode(value: bytes) -> bytes:
        return value

    @staticmethod
    def decode(data: Any) -> bytes:
        return bytes(data.read(16))

    @staticmethod
    def repr(value: bytes) -> str:
        return value.hex()


class _MetadataResponse(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition_index", Int32),
                        ("leader_id", Int32),
                        ("leader_epoch", Int32),
                        ("replica_nodes", CompactArray(Int32)),
                        ("isr_nodes", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("topic_authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _MetadataRequestV12(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 12
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic_id", _Uuid),
                ("name", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _MetadataRequest(Request[_MetadataRequestV12]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, topics: list[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_MetadataRequestV12]) -> _MetadataRequestV12:
        asked: list[Any] = [(_NO_ID, topic, {}) for topic in self._topics]
        create, tell_rights = False, True
        return request_struct_class(asked, create, tell_rights, {})


async def topic_facts(client: Any, topics: Iterable[str]) -> dict[str, TopicFacts]:
    """Ask one broker about these topics; give those that exist. Creates none.

    `client` is aiokafka's own. Brokers before Kafka 3.1 can't be asked: none is given then.

    Raises:
        aiokafka.errors.KafkaError: no broker answers.
    """
    node = client.get_random_node()
    if node is None:
        raise NodeNotReadyError("no broker is known")
    try:
        answer = await client.send(node, _MetadataRequest(list(topics)))
    except (NotImplementedError, IncompatibleBrokerVersion):
        return {}
    found: dict[str, TopicFacts] = {}
    for error_code, name, topic_id, _, _, operations, _ in answer.topics:
        if error_code != _UNKNOWN_TOPIC:
            found[name] = TopicFacts(
                id="" if topic_id == _NO_ID else str(UUID(bytes=topic_id)),
                operations=operations_of(operations),
                cluster_id=answer.cluster_id or "",
            )
    return found


def operations_of(bits: int) -> frozenset[str]:
    """What Kafka's bit field of authorized operations allows; empty where brokers don't tell."""
    if bits == _UNKNOWN:
        return frozenset()
    return frozenset(operation for bit, operation in _OPERATIONS.items() if bits >> bit & 1)


async def is_compacted(client: Any, topic: str) -> bool:
    """Ask one broker whether the topic keeps the last record of each key only.

    False, too, where the brokers don't tell: it takes the right to describe configurations.

    Raises:
        aiokafka.errors.KafkaError: no broker answers.
    """
    return "compact" in (await _config(client, topic, _CLEANUP)).get(_CLEANUP, "")


async def retention_ms(client: Any, topic: str) -> int | None:
    """Ask one broker for the topic's retention.ms, as far as it counts from a record's timestamp.

    None where records aren't deleted by their own timestamp, or where the brokers don't tell.

    Raises:
        aiokafka.errors.KafkaError: no broker answers.
    """
    config = await _config(client, topic, _CLEANUP, _RETENTION, _TIMESTAMPS)
    kept = int(config.get(_RETENTION, -1))
    by_its_own = config.get(_TIMESTAMPS) != "LogAppendTime"
    return kept if kept >= 0 and by_its_own and "delete" in config.get(_CLEANUP, "") else None


async def _config(client: Any, topic: str, *names: str) -> dict[str, str]:
    """These settings of a topic, the cluster's defaults among them; those that a broker tells."""
    node = client.get_random_node()
    if node is None:
        raise NodeNotReadyError("no broker is known")
    resources = [(_TOPIC_RESOURCE, topic, list(names))]
    try:
        answer = await client.send(node, DescribeConfigsRequest(resources))
    except (NotImplementedError, IncompatibleBrokerVersion):
        return {}
    return {
        name: value
        for error_code, _, _, _, entries in answer.resources
        if not error_code
        for name, value, *_ in entries
        if value is not None
    }
