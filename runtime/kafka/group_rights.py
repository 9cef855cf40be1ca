"""What this user may do with a consumer group: aiokafka 0.14 finds out by joining it."""

import asyncio
from typing import Any

from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, for_code
from aiokafka.protocol.admin import (
    DescribeGroupsRequest_v3,
    DescribeGroupsResponse_v3,
)
from aiokafka.protocol.api import Request, RequestStruct

from runtime.kafka.topic_facts import operations_of

_GROUP = 0
"""A coordinator of a group, not of a transaction."""
_BACK_OFF_S = 0.1
"""A new cluster has no coordinator until the topic of the offsets is made: a second or so."""


class _RequestV3(RequestStruct):  # type: ignore[misc]
    API_KEY = 15
    API_VERSION = 3
    RESPONSE_TYPE = DescribeGroupsResponse_v3  # aiokafka's own names that of version 2
    SCHEMA = DescribeGroupsRequest_v3.SCHEMA


class _Request(Request[_RequestV3]):  # type: ignore[misc]
    API_KEY = 15

    def __init__(self, group_id: str) -> None:
        self._group_id = group_id

    def build(self, request_struct_class: type[_RequestV3]) -> _RequestV3:
        tell_rights = True
        return request_struct_class([self._group_id], tell_rights)


async def group_operations(client: Any, group_id: str) -> frozenset[str]:
    """Ask the group's coordinator; waits for one. Empty where the brokers are too old to tell.

    `client` is aiokafka's own. The group needn't exist.

    Raises:
        aiokafka.errors.GroupAuthorizationFailedError: we may not even ask.
        aiokafka.errors.KafkaError: no broker answers.
    """
    while True:
        try:
            return await _ask(client, group_id)
        except (NotImplementedError, IncompatibleBrokerVersion):
            return frozenset()
        except KafkaError as error:
            if not error.retriable:
                raise
        await asyncio.sleep(_BACK_OFF_S)


async def _ask(client: Any, group_id: str) -> frozenset[str]:
    node = await client.coordinator_lookup(_GROUP, group_id)
    answer = await client.send(node, _Request(group_id))
    error_code, *_, operations = answer.groups[0]
    if error_code:
        raise for_code(error_code)
    return operations_of(operations)
