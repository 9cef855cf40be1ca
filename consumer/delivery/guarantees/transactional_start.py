"""The start of a producer for transactions, and what to do where the brokers refuse it."""

import asyncio
from collections.abc import Callable

from runtime.clock import Clock, wait_all
from runtime.errors import AccessDenied, Misconfigured
from runtime.kafka.errors import Denied, TransactionsRefused, Unreachable
from runtime.kafka.options import KafkaOptions
from runtime.kafka.protocol import TransactionalProducer
from runtime.kafka.unread import abandon

_START_S = 10.0
"""For a producer to connect, and to end what an older one left open: 0.1 s."""


async def start_transactions(
    producer: TransactionalProducer,
    options: KafkaOptions,
    clock: Clock,
    *,
    retire: Callable[[TransactionalProducer], None],
) -> None:
    """Start a producer, within a time; `retire` one that doesn't start.

    Raises:
        KafkaFault: it can't be started, this time.
        AccessDenied, Misconfigured: until a human acts.
    """
    starting = asyncio.ensure_future(producer.start())
    started = False
    try:
        if await wait_all(clock, (starting,), _START_S):
            raise Unreachable(
                "no transaction coordinator answered: are the brokers up, and does "
                "transaction.state.log.replication.factor fit their number?"
            )
        starting.result()
        started = True
    except Denied as fault:
        raise AccessDenied(
            f"the brokers refuse transactions: {fault}; grant WRITE and DESCRIBE on transactional "
            f"ids that begin with {options.transactional_id_prefix or options.group_id}/"
        ) from fault
    except TransactionsRefused as fault:
        raise Misconfigured(
            f"the brokers allow no transaction to take delivery.transaction_timeout_s = "
            f"{options.transaction_timeout_s:g}: stay at their transaction.max.timeout.ms or below"
        ) from fault
    finally:
        if not started:
            starting.cancel()
            abandon((starting,))
            retire(producer)
