r"""What was fetched of one partition, read batch by batch: never past one that can't be read.

aiokafka 0.14 raises for a whole fetch what is wrong with one batch of it, after it has taken the
records before that batch: they would be lost. Here every batch is read before it is offered, and
where one can't be read, what was fetched ends before it. When it comes first in a later fetch it
raises `CorruptRecordException`, with nothing lost.

Header names that are no UTF-8 are escaped, instead of stopping their partition for good. Kafka
checks no header's name, librdkafka's and Go's clients write any bytes as one, and aiokafka raises
UnicodeDecodeError for them. A name keeps its readable part and shows the rest as `\xff`.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Any, SupportsIndex

import cramjam
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

_LENGTH_AT = 8
"""After the base offset, in every version of Kafka's batches."""
_BEFORE_LENGTH_COUNTS = 12
"""Base offset and length are not part of the length."""
_MAGIC_AT = 16
_ATTRIBUTES_AT = 21
_LAST_AT = 23
_COUNT_AT = 57
_RECORDS_AT = 61
_CODEC = 0x07
_GZIP, _SNAPPY, _LZ4, _ZSTD = 1, 2, 3, 4
_MOST_PER_BYTE = {_GZIP: 1_032, _SNAPPY: 22, _LZ4: 255}
"""How far a byte can unpack at most, by the formats; zstd has no such bound."""

MAX_UNPACKED_BYTES = 128 * 1024 * 1024
"""Of one batch: a record of 100 MB fits, and a small batch that unpacks to gigabytes (a "bomb")
doesn't end the process."""
MAX_BATCH_RECORDS = 1_000_000
"""Of one batch. Producers send a megabyte at a time, which holds some ten thousand."""


class BadBatchError(CorruptRecordException):  # type: ignore[misc]
    """A batch that can't be read; says nothing of what it holds."""

    def __init__(self, reason: str, next_offset: int | None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.next_offset = next_offset
        """Where the batch after it begins, as far as that can be told."""


class CheckedRecords:
    """What was fetched of one partition; used in place of aiokafka's `MemoryRecords`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._records: Any = MemoryRecords(data)
        self._at = 0
        self._first = True
        self._ahead: CheckedBatch | None = None

    def size_in_bytes(self) -> int:
        """Bytes that were fetched."""
        return int(self._records.size_in_bytes())

    def has_next(self) -> bool:
        """Whether a whole batch is left that can be read; of the first one it isn't asked."""
        if self._first:
            return bool(self._records.has_next())
        if self._ahead is None and self._records.has_next():
            try:
                self._ahead = self._read()
            except CorruptRecordException:
                # The next fetch begins with it, and raises.
                self._records = MemoryRecords(b"")
        return self._ahead is not None

    def next_batch(self) -> "CheckedBatch | None":
        """Give the next whole batch.

        Raises:
            CorruptRecordException: it can't be read.
        """
        self._first = False
        batch, self._ahead = self._ahead, None
        if batch is None and self._records.has_next():
            batch = self._read()
        return batch

    def _read(self) -> "CheckedBatch":
        length_at = self._at + _LENGTH_AT
        length = int.from_bytes(self._data[length_at : length_at + 4], "big")
        start, self._at = self._at, self._at + _BEFORE_LENGTH_COUNTS + length
        raw = memoryview(self._data)[start : self._at]
        try:
            batch = self._records.next_batch()
            if not batch.validate_crc():
                raise CorruptRecordException("its checksum is wrong")
            _check_size(raw)
            return CheckedBatch(batch, _records_of(batch, raw))
        except CorruptRecordException as error:
            raise BadBatchError(str(error.args[0]), self._next_offset(raw)) from error
        except Exception as error:
            # Whatever a broken batch makes a decoder raise. Its text may quote the record.
            reason = f"{type(error).__name__} in reading it"
            raise BadBatchError(reason, self._next_offset(raw)) from error

    def _next_offset(self, raw: memoryview) -> int | None:
        """Where the next batch begins: as itself says, or else as the broken one's header does."""
        if len(following := self._data[self._at : self._at + _LENGTH_AT]) == _LENGTH_AT:
            return int.from_bytes(following, "big")
        if len(raw) <= _RECORDS_AT or raw[_MAGIC_AT] < 2:
            return None
        base, last = struct.unpack_from(">q", raw)[0], struct.unpack_from(">i", raw, _LAST_AT)[0]
        return int(base + last + 1) if 0 <= last < MAX_BATCH_RECORDS else None


class CheckedBatch:
    """One batch, its records read already: they are as many as one producer sent together."""

    __slots__ = ("_batch", "_records")

    def __init__(self, batch: Any, records: list[Any]) -> None:
        self._batch = batch
        self._records = iter(records)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def validate_crc(self) -> bool:
        """Say yes: it was looked at before the records were read."""
        return True

    def __next__(self) -> Any:
        return next(self._records)

    def __iter__(self) -> Iterator[Any]:
        return self._records


def _records_of(batch: Any, raw: memoryview) -> list[Any]:
    """Read them by aiokafka's fast reader, and where that fails on a name, by the slow one."""
    try:
        return list(batch)
    except UnicodeDecodeError:
        slow: Any = _DefaultRecordBatchPy(raw)
        iter(slow)  # uncompresses
        slow._buffer = _Escaping(slow._buffer)  # noqa: SLF001 - its reader slices names out of it
        return list(slow)


def _check_size(raw: memoryview) -> None:
    """Refuse a batch that unpacks to more than fits.

    Raises:
        CorruptRecordException: says which bound it passes.
    """
    if len(raw) <= _RECORDS_AT or raw[_MAGIC_AT] < 2:
        return
    (count,) = struct.unpack_from(">i", raw, _COUNT_AT)
    if count > MAX_BATCH_RECORDS:
        raise CorruptRecordException(f"it claims {count} records, {MAX_BATCH_RECORDS} are allowed")
    codec, packed = raw[_ATTRIBUTES_AT + 1] & _CODEC, raw[_RECORDS_AT:]
    most_per_byte = _MOST_PER_BYTE.get(codec)
    small = most_per_byte is not None and len(packed) * most_per_byte <= MAX_UNPACKED_BYTES
    if codec and not small and not _fits(codec, packed):
        most = MAX_UNPACKED_BYTES // (1024 * 1024)
        raise CorruptRecordException(f"it unpacks to more than {most} MiB")


def _fits(codec: int, packed: memoryview) -> bool:
    """Whether it unpacks to at most `MAX_UNPACKED_BYTES`; never holds more than these."""
    if codec == _GZIP:
        unpacker = zlib.decompressobj(wbits=31)
        unpacker.decompress(packed, MAX_UNPACKED_BYTES)
        return not unpacker.unconsumed_tail
    if codec == _SNAPPY:
        return True  # 22 times what was fetched: a few megabytes
    unpack = cramjam.lz4 if codec == _LZ4 else cramjam.zstd
    try:
        unpack.decompress_into(packed, bytearray(MAX_UNPACKED_BYTES))
    except cramjam.DecompressionError:
        return False  # or it is broken: as bad
    return True


class _Escaping(bytearray):
    r"""Bytes of which every slice decodes, what is no UTF-8 as `\xff`."""

    def __getitem__(self, at: SupportsIndex | slice) -> Any:
        found = super().__getitem__(at)
        return _Escaping(found) if isinstance(found, bytearray) else found

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, errors)


def install() -> None:
    """Have every aiokafka consumer of this process read batches so."""
    fetcher.MemoryRecords = CheckedRecords
