"""Transactions of the Kafka in memory: its logs are what readers of committed records see."""

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from runtime.kafka.errors import Fenced, KafkaFault
from runtime.kafka.protocol import Headers, OffsetAndMetadata, Partition

if TYPE_CHECKING:
    from tests.runtime.kafka.fake_kafka import FakeKafka


class FakeTransactions:
    """`TransactionalProducer`; the newest one with its id fences the others."""

    def __init__(self, kafka: "FakeKafka", transactional_id: str) -> None:
        self._kafka = kafka
        self._sending = kafka.plain_producer()
        self.id = transactional_id
        self.open = False
        self._written: list[tuple[Partition, Callable[[], None]]] = []
        self._offsets: dict[Partition, OffsetAndMetadata] = {}
        self._group = ""
        self.stopped = False

    async def start(self) -> None:
        kafka = self._kafka
        await kafka.transaction_gate.wait()
        if kafka.transaction_start_faults:
            raise kafka.transaction_start_faults.pop(0)
        await self._sending.start()
        older = kafka.transactional.get(self.id)
        if older is not None:
            older.undo()
        kafka.transactional[self.id] = self

    def _check(self) -> None:
        if self._kafka.transactional.get(self.id) is not self:
            raise Fenced("a newer producer with this transactional id was started")

    async def begin(self) -> None:
        assert not self.open, "one transaction at a time"
        self.open = True

    async def send(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: Headers
    ) -> asyncio.Future[Any]:
        self._check()
        assert self.open, "a send outside of a transaction"
        return await self._sending.send(
            topic, key=key, value=value, headers=headers, into=self._written
        )

    async def send_offsets(
        self, offsets: Mapping[Partition, OffsetAndMetadata], group_id: str
    ) -> None:
        self._check()
        assert self.open
        self._offsets, self._group = dict(offsets), group_id

    async def commit(self) -> None:
        self._check()
        assert self.open
        kafka = self._kafka
        fault = kafka.transaction_faults.pop(0) if kafka.transaction_faults else None
        if fault is not None and not kafka.committed_nevertheless:
            raise fault
        self._end(write=True)
        group = kafka.groups[self._group]
        for partition, at in self._offsets.items():
            kafka.on_commit(partition, at.offset)
            group.committed[partition] = at.offset
            group.metadata[partition] = at.metadata
        if self._offsets:
            kafka.commits.append({one: at.offset for one, at in self._offsets.items()})
        self._offsets = {}
        kafka.wake()
        if fault is not None:
            raise fault

    async def abort(self) -> None:
        self._check()
        assert self.open
        self.undo()

    def undo(self) -> None:
        """What the brokers do with what is open."""
        self._kafka.aborted += self.open
        self._end(write=False)

    def _end(self, *, write: bool) -> None:
        for partition, append in self._written:
            if write:
                append()
            else:
                self._kafka.logs[partition].skip()
        for partition in {partition for partition, _ in self._written}:
            self._kafka.logs[partition].skip()  # the marker
        self._written.clear()
        self.open = False

    def fault(self, error: BaseException) -> KafkaFault:
        return self._sending.fault(error)

    async def stop(self, *, timeout_s: float) -> None:
        await self._sending.stop(timeout_s=timeout_s)
        self.stopped = True
