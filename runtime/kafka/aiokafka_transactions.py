"""Transactions through aiokafka: its producer, with what it doesn't tell of a failed one."""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from aiokafka import TopicPartition, errors

from runtime.kafka.errors import Fenced, KafkaFault, TransactionsRefused
from runtime.kafka.protocol import Headers, KafkaProducer, OffsetAndMetadata, Partition


class _Producer(KafkaProducer, Protocol):
    @property
    def client(self) -> Any:
        """The producer of aiokafka itself; there once `start` has returned."""


class AiokafkaTransactions:
    """`TransactionalProducer` on a producer of ours that was made with a transactional id."""

    def __init__(self, producer: _Producer) -> None:
        self._producer = producer

    async def start(self) -> None:
        """Connect, and fence older producers with this id; ends when their transactions have."""
        try:
            await self._producer.start()
        except KafkaFault as fault:
            if isinstance(fault.__cause__, errors.InvalidTransactionTimeout):
                raise TransactionsRefused(str(fault)) from fault
            raise

    async def send(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: Headers
    ) -> asyncio.Future[Any]:
        """Hand over one record of the open transaction."""
        return await self._producer.send(topic, key=key, value=value, headers=headers)

    async def begin(self) -> None:
        """Begin a transaction."""
        await self._producer.client.begin_transaction()

    async def send_offsets(
        self, offsets: Mapping[Partition, OffsetAndMetadata], group_id: str
    ) -> None:
        """Make these offsets part of the transaction."""
        await self._producer.client.send_offsets_to_transaction(
            {TopicPartition(*partition): tuple(at) for partition, at in offsets.items()}, group_id
        )

    async def commit(self) -> None:
        """Make it all visible."""
        await self._producer.client.commit_transaction()

    async def abort(self) -> None:
        """Undo it all."""
        await self._producer.client.abort_transaction()

    def fault(self, error: BaseException) -> KafkaFault:
        """What an error of any method or of a send's future means."""
        # Of a transaction that failed, aiokafka tells the sends that they can't go on, and the
        # reason to whoever waits for the end of the transaction.
        error = self._reason() or error
        if isinstance(error, errors.ProducerFenced | errors.InvalidProducerEpoch):
            return Fenced("a newer producer with this transactional id was started")
        return self._producer.fault(error)

    def _reason(self) -> BaseException | None:
        ended = self._producer.client._txn_manager._transaction_waiter  # noqa: SLF001 - as above
        if ended is None or not ended.done() or ended.cancelled():
            return None
        reason: BaseException | None = ended.exception()
        return reason

    async def stop(self, *, timeout_s: float) -> None:
        """Disconnect. A transaction that is open stays so, until it is aborted by the brokers."""
        await self._producer.stop(timeout_s=timeout_s)
