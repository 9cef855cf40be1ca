"""What this user may do at the brokers, and who else uses our group: asked before it matters.

aiokafka 0.14 asks for rights on groups and then doesn't read them.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IncompatibleBrokerVersion,
    for_code,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.protocol.types import Array, Boolean, Bytes, Int16, Int32, Schema, String

from runtime.kafka.options import KafkaOptions
from runtime.kafka.topic_facts import operations_of, topic_facts

ASSIGNOR = "roundrobin"
"""How members of the consumer's group share the partitions."""
_GROUP = 0
_LIVE = frozenset({"PreparingRebalance", "CompletingRebalance", "Stable", "Assigning"})


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


class GroupFacts(NamedTuple):
    """What the brokers say of a consumer group."""

    operations: frozenset[str]
    """What this user may do with it; empty where unknown."""
    assignor: str
    """How its members share the partitions now; empty without members."""
    protocol_type: str
    """`consumer`, or another kind of program's; empty without members."""
    members: int

    @property
    def foreign(self) -> bool:
        """Whether its members are no emostream's: we could not join them."""
        if not self.members:
            return False
        return self.protocol_type != "consumer" or self.assignor not in {"", ASSIGNOR}


class _DescribeGroupsResponse(Response):  # type: ignore[misc]
    API_KEY = 15
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "groups",
            Array(
                ("error_code", Int16),
                ("group", String("utf-8")),
                ("state", String("utf-8")),
                ("protocol_type", String("utf-8")),
                ("protocol", String("utf-8")),
                (
                    "members",
                    Array(
                        ("member_id", String("utf-8")),
                        ("client_id", String("utf-8")),
                        ("client_host", String("utf-8")),
                        ("member_metadata", Bytes),
                        ("member_assignment", Bytes),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
    )


class _DescribeGroupsV3(RequestStruct):  # type: ignore[misc]
    API_KEY = 15
    API_VERSION = 3
    RESPONSE_TYPE = _DescribeGroupsResponse
    SCHEMA = Schema(("groups", Array(String("utf-8"))), ("include_authorized_operations", Boolean))


class _DescribeGroups(Request[_DescribeGroupsV3]):  # type: ignore[misc]
    API_KEY = 15

    def __init__(self, groups: list[str]) -> None:
        self._groups = groups

    def build(self, request_struct_class: type[_DescribeGroupsV3]) -> _DescribeGroupsV3:
        return request_struct_class(self._groups, True)  # noqa: FBT003 - tell rights


async def group_facts(admin: AIOKafkaAdminClient, group: str) -> GroupFacts | None:
    """Ask the group's coordinator; None where the brokers don't tell.

    Raises:
        aiokafka.errors.KafkaError: no broker answers, or we may not know of the group.
    """
    client = admin._client  # noqa: SLF001 - the admin client asks no rights
    node = client.get_random_node()
    found = await client.send(node, FindCoordinatorRequest(group, _GROUP))
    if found.error_code:
        raise for_code(found.error_code)(f"no coordinator of the group {group}")
    try:
        answer = await admin._send_request_to_node(  # noqa: SLF001
            found.coordinator_id, _DescribeGroups([group])
        )
    except (NotImplementedError, IncompatibleBrokerVersion):
        return None
    code, _, state, kind, protocol, members, operations = answer.groups[0]
    if code:
        raise for_code(code)(f"the group {group} can't be asked")
    live = state in _LIVE and bool(members)
    return GroupFacts(
        operations=operations_of(operations),
        assignor=protocol if live else "",
        protocol_type=kind if live else "",
        members=len(members) if live else 0,
    )


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
        group = await group_facts(admin, options.group_id)
    except GroupAuthorizationFailedError:
        missing.append(reads_group)
    else:
        if group is not None and group.operations and "read" not in group.operations:
            missing.append(reads_group)
    node = client.get_random_node()
    answer: Any = await client.send(node, InitProducerIdRequest(None, 60_000))
    # Since Kafka 3.0 WRITE on any topic suffices.
    if for_code(answer.error_code) is ClusterAuthorizationFailedError:
        missing.append(Right("IDEMPOTENT_WRITE", "cluster", ""))
    return missing
