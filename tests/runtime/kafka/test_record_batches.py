"""What is fetched is read batch by batch, and ends before one that can't be read."""

import gzip
import struct
from typing import Any

import cramjam
import pytest
from aiokafka.errors import CorruptRecordException
from aiokafka.record._crc32c import crc as crc32c
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from runtime.kafka import record_batches
from runtime.kafka.record_batches import CheckedRecords


def batch(first: int, count: int = 3, *, compression: int = 0, value: bytes = b"v") -> bytes:
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=compression,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 30,
    )
    for offset in range(count):
        builder.append(offset, 1_700_000_000_000, b"k", value, [])
    built = bytearray(builder.build())
    struct.pack_into(">q", built, 0, first)
    return bytes(built)


def broken(good: bytes) -> bytes:
    return good[:-1] + bytes([good[-1] ^ 1])


def with_records(good: bytes, packed: bytes, *, count: int | None = None) -> bytes:
    """The same batch with other records in it, and a checksum that is right."""
    made = bytearray(good[:61] + packed)
    struct.pack_into(">i", made, 8, len(made) - 12)
    if count is not None:
        struct.pack_into(">i", made, 57, count)
    struct.pack_into(">I", made, 17, crc32c(bytes(made[21:])))
    return bytes(made)


def read(data: bytes) -> list[int]:
    records = CheckedRecords(data)
    found: list[int] = []
    while records.has_next():
        one: Any = records.next_batch()
        assert one.validate_crc()
        found += [record.offset for record in one]
    return found


def test_batches_are_read_whole_and_in_order() -> None:
    assert read(batch(0) + batch(3) + batch(6, 1)) == [0, 1, 2, 3, 4, 5, 6]


def test_what_is_fetched_ends_before_a_batch_that_can_not_be_read() -> None:
    assert read(batch(0) + batch(3) + broken(batch(6)) + batch(9)) == [0, 1, 2, 3, 4, 5]


def test_a_bad_batch_that_comes_first_raises_and_says_where_the_next_one_begins() -> None:
    records = CheckedRecords(broken(batch(6)) + batch(20))
    assert records.has_next()
    with pytest.raises(record_batches.BadBatchError, match="checksum") as raised:
        records.next_batch()
    assert raised.value.next_offset == 20


def test_the_last_bad_batch_of_a_fetch_says_itself_where_it_ends() -> None:
    with pytest.raises(record_batches.BadBatchError) as raised:
        CheckedRecords(broken(batch(6))).next_batch()
    assert raised.value.next_offset == 9


def test_a_batch_cut_off_by_the_end_of_the_fetch_is_none() -> None:
    data = batch(0) + batch(3)[:-5]
    assert read(data) == [0, 1, 2]


@pytest.mark.parametrize("codec", [1, 3, 4], ids=["gzip", "lz4", "zstd"])
def test_a_batch_that_unpacks_to_hundreds_of_megabytes_is_a_bad_one(codec: int) -> None:
    zeros = bytes(300 * 1024 * 1024)
    pack: dict[int, Any] = {1: gzip.compress, 3: cramjam.lz4.compress, 4: cramjam.zstd.compress}
    bomb = with_records(batch(0, compression=codec), bytes(pack[codec](zeros)))
    assert len(bomb) < 2_000_000
    with pytest.raises(CorruptRecordException, match="unpacks to more than 128 MiB"):
        CheckedRecords(bomb).next_batch()
    assert read(batch(0) + bomb) == [0, 1, 2]


@pytest.mark.parametrize("codec", [1, 2, 3, 4], ids=["gzip", "snappy", "lz4", "zstd"])
def test_large_batches_within_the_bound_are_read_with_every_codec(codec: int) -> None:
    data = batch(0, 4, compression=codec, value=b"v" * 5_000_000)
    assert read(data) == [0, 1, 2, 3]


def test_a_batch_that_claims_more_records_than_it_could_hold_is_a_bad_one() -> None:
    good = batch(0)
    claimed = with_records(good, good[61:], count=2_000_000_000)
    with pytest.raises(CorruptRecordException, match="2000000000 records"):
        CheckedRecords(claimed).next_batch()


@pytest.mark.parametrize("codec", [0, 1, 2, 3, 4])
def test_records_that_are_garbage_under_a_right_checksum_are_a_bad_batch(codec: int) -> None:
    garbage = with_records(batch(0, compression=codec), b"\xff" * 40)
    with pytest.raises(CorruptRecordException) as raised:
        CheckedRecords(garbage).next_batch()
    assert b"\xff" not in str(raised.value).encode()
