"""Records that no well-meaning client writes, for Kafka to take all the same."""

from collections.abc import Sequence
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

_ROOM = 2**21


class RawName(str):
    """A header's name that is written as the bytes it is made of."""

    __slots__ = ("raw",)

    raw: bytes

    def __new__(cls, raw: bytes) -> Self:
        made = super().__new__(cls, raw.decode(errors="backslashreplace"))
        made.raw = raw
        return made

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return self.raw


def raw_builder(compression: int = 0) -> Any:
    """Aiokafka's slow builder of a batch, which takes a name by its `encode`."""
    return _DefaultRecordBatchBuilderPy(2, compression, 0, -1, -1, 0, _ROOM)


async def send_raw(
    producer: AIOKafkaProducer,
    topic: str,
    partition: int,
    *,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[bytes, bytes | None]],
) -> Any:
    """Hand over one record, a batch of its own; give the future of its acknowledgement."""
    batch = producer.create_batch()
    batch._builder = raw_builder()
    names = [(RawName(name), content) for name, content in headers]
    batch.append(key=key, value=value, timestamp=None, headers=names)
    return await producer.send_batch(batch, topic, partition=partition)
