"""A Kafka consumer whose records' values are JSON, whatever framed them."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from runtime.registry.reading import SchemaReader


class TopicValues:
    """`runtime.registry.values.ValueReader` for our own topics."""

    def __init__(self, reader: SchemaReader, topics: Collection[str]) -> None:
        self._reader = reader
        self._topics = frozenset(topics)

    def reads(self, topic: str) -> bool:
        """Whether this topic's values may be framed."""
        return topic in self._topics

    def over(self, consumer: Any) -> Any:
        """The consumer with plain values."""
        return _PlainValues(consumer, self._reader)


class _PlainValues:
    """Everything of a consumer but `getmany`."""

    def __init__(self, consumer: Any, reader: SchemaReader) -> None:
        self._consumer = consumer
        self._reader = reader
        self._fetched: Any = None
        """Received, and not handed out yet: a consumer gives a record once."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)

    async def getmany(self, *partitions: Any, **options: Any) -> Any:
        """As the consumer's own; on a cancel or an error the next call gives these records."""
        if not self._fetched:
            self._fetched = await self._consumer.getmany(*partitions, **options)
        fetched = {
            partition: await self._plain(records) for partition, records in self._fetched.items()
        }
        self._fetched = None
        return fetched

    async def _plain(self, records: Any) -> list[Any]:
        values = await self._reader.decode_all((one.value, one.headers) for one in records)
        return [
            one if one.value is value else replace(one, value=value)
            for one, value in zip(records, values, strict=True)
        ]
