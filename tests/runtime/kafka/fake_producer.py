"""The producer of the Kafka in memory."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from zlib import crc32

from runtime.kafka.errors import KafkaFault, ProducerLost, RecordTooLarge, TopicMissing, Unreachable
from runtime.kafka.protocol import Headers, Partition

if TYPE_CHECKING:
    from tests.runtime.kafka.fake_kafka import FakeKafka


class FakeProducer:
    def __init__(self, kafka: "FakeKafka") -> None:
        self._kafka = kafka
        self._broken: set[Partition] = set()
        self.stopped = False

    async def start(self) -> None:
        if self._kafka.start_faults:
            raise self._kafka.start_faults.pop(0)
        self._kafka.producers.append(self)

    async def send(
        self,
        topic: str,
        *,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        into: list[tuple[Partition, Callable[[], None]]] | None = None,
    ) -> asyncio.Future[Any]:
        """`into` is where an open transaction keeps what it writes."""
        kafka = self._kafka
        if kafka.sends_hang:
            await asyncio.get_running_loop().create_future()
        partitions = sorted(p for p in kafka.logs if p.topic == topic)
        if not partitions:
            raise TopicMissing(topic)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        partition = partitions[crc32(value or b"") % len(partitions)]
        log = kafka.logs[partition]
        fault = self._refuses(partition, value or b"")
        if fault is not None:
            # As with aiokafka: this partition's sequence is broken from here on.
            if not isinstance(fault, Unreachable):
                self._broken.add(partition)
            future.set_exception(fault)
            return future

        def append() -> None:
            log.append(key, value, headers)
            kafka.wake()

        def write() -> None:
            if into is None:
                append()
            else:
                into.append((partition, append))

        if topic in kafka.held_topics:
            kafka.hold(topic, future, write)
        else:
            write()
            future.set_result(None)
        return future

    def _refuses(self, partition: Partition, value: bytes) -> KafkaFault | None:
        if partition in self._broken:
            return ProducerLost("out of order sequence number")
        if self._kafka.send_faults:
            return self._kafka.send_faults.pop(0)
        if len(value) > self._kafka.max_bytes.get(partition.topic, 1 << 30):
            return RecordTooLarge(f"{len(value)} bytes")
        return None

    def fault(self, error: BaseException) -> KafkaFault:
        return error if isinstance(error, KafkaFault) else ProducerLost(type(error).__name__)

    async def stop(self, *, timeout_s: float) -> None:
        if self._kafka.stop_takes_s:
            await self._kafka.sleep(min(timeout_s, self._kafka.stop_takes_s))
        self.stopped = True
