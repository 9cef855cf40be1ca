"""Whether transactions are possible at these brokers and for this user, before it matters."""

import asyncio
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    ConcurrentTransactions,
    InvalidTransactionTimeout,
    KafkaError,
    TransactionalIdAuthorizationFailed,
    for_code,
)
from aiokafka.protocol.transaction import InitProducerIdRequest

from runtime.kafka.options import KafkaOptions

_TRANSACTION = 1
"""A coordinator of a transaction, not of a group."""
_STATE = "__transaction_state"
_BACK_OFF_S = 0.1
"""A new cluster has no coordinator until the topic of the transactions is made: a second or so."""


class TransactionSupport(NamedTuple):
    """What the brokers say of transactions."""

    problem: str
    """What to change; empty where they are possible."""
    replicas: int
    """Of the log of transactions; 0 where that isn't told."""


async def transaction_support(
    admin: AIOKafkaAdminClient, options: KafkaOptions
) -> TransactionSupport:
    """Ask the coordinator for a producer of the id that is only used for this question.

    It fences nobody; the brokers forget the id after `transactional.id.expiration.ms`. Waits for a
    coordinator: bound it.

    Raises:
        aiokafka.errors.KafkaError: no broker answers.
    """
    client = admin._client  # noqa: SLF001 - it has no way of its own
    id_ = options.check_id
    request = InitProducerIdRequest(id_, round(options.transaction_timeout_s * 1000))
    while True:
        try:
            node = await client.coordinator_lookup(_TRANSACTION, id_)
            answer: Any = await client.send(node, request)
            error = for_code(answer.error_code)
        except KafkaError as raised:
            error = type(raised)
        if error is ConcurrentTransactions or getattr(error, "retriable", False):
            await asyncio.sleep(_BACK_OFF_S)
            continue
        break
    if error is TransactionalIdAuthorizationFailed:
        prefix = id_.rpartition("/")[0]
        problem = (
            "this user lacks WRITE and DESCRIBE on transactional ids that begin with "
            f"{prefix}/: grant them with --resource-pattern-type prefixed"
        )
    elif error is InvalidTransactionTimeout:
        problem = (
            f"delivery.transaction_timeout_s = {options.transaction_timeout_s:g} is above the "
            "brokers' transaction.max.timeout.ms: lower it"
        )
    elif error.errno:
        problem = f"the brokers refuse transactions ({error.__name__})"
    else:
        problem = ""
    return TransactionSupport(problem, await _replicas(admin))


async def _replicas(admin: AIOKafkaAdminClient) -> int:
    topics = await admin.describe_topics([_STATE])
    partitions = topics[0]["partitions"] if topics else []
    return min((len(one["replicas"]) for one in partitions), default=0)
