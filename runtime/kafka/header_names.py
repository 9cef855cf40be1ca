r"""Header names that are no UTF-8: escaped, instead of stopping their partition for good.

Kafka checks no header's name, librdkafka's and Go's clients write any bytes as one, and aiokafka
0.14 raises UnicodeDecodeError for the whole fetch, each time again: one such record would end
every consumer that gets its partition. Here a name keeps its readable part and shows the rest as
`\xff`.
"""

from collections.abc import Iterator
from typing import Any, SupportsIndex

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

_LENGTH_AT = 8
"""After the base offset, in every version of Kafka's batches."""
_BEFORE_LENGTH_COUNTS = 12
"""Base offset and length are not part of the length."""


class TolerantRecords:
    """What was fetched of one partition; stands in for aiokafka's `MemoryRecords`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._records: Any = MemoryRecords(data)
        self._at = 0

    def size_in_bytes(self) -> int:
        """Bytes that were fetched."""
        return int(self._records.size_in_bytes())

    def has_next(self) -> bool:
        """Whether a whole batch is left."""
        return bool(self._records.has_next())

    def next_batch(self) -> "TolerantBatch | None":
        """Give the next whole batch."""
        batch = self._records.next_batch()
        if batch is None:
            return None
        length_at = self._at + _LENGTH_AT
        length = int.from_bytes(self._data[length_at : length_at + 4], "big")
        start, self._at = self._at, self._at + _BEFORE_LENGTH_COUNTS + length
        return TolerantBatch(batch, memoryview(self._data)[start : self._at])


class TolerantBatch:
    """One batch: read by aiokafka's fast reader, and where that fails on a name, by the slow one.

    Its records are made at once: they are as many as one producer sent together.
    """

    __slots__ = ("_batch", "_raw")

    def __init__(self, batch: Any, raw: memoryview) -> None:
        self._batch = batch
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter(list(self._batch))
        except UnicodeDecodeError:
            return _slowly(self._raw)


class _Escaping(bytearray):
    r"""Bytes of which every slice decodes, what is no UTF-8 as `\xff`."""

    def __getitem__(self, at: SupportsIndex | slice) -> Any:
        found = super().__getitem__(at)
        return _Escaping(found) if isinstance(found, bytearray) else found

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, errors)


def _slowly(raw: memoryview) -> Iterator[Any]:
    batch: Any = _DefaultRecordBatchPy(raw)
    iter(batch)  # uncompresses
    batch._buffer = _Escaping(batch._buffer)  # noqa: SLF001 - its reader slices names out of it
    records: Iterator[Any] = batch
    return records


def install() -> None:
    """Have every aiokafka consumer of this process read header names so."""
    fetcher.MemoryRecords = TolerantRecords
