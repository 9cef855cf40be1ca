"""Batches are compressed with lz4's fast mode, not with aiokafka's level 9."""

import inspect

import pytest
from aiokafka import codec
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from runtime.kafka import fast_lz4

_RECORDS = [
    (b"key %d" % i, b"so many words about %d things of %d" % (i * i, i)) for i in range(300)
]


def _batch() -> bytes:
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=DefaultRecordBatch.CODEC_LZ4,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1_000_000,
    )
    for offset, (key, value) in enumerate(_RECORDS):
        assert builder.append(offset, timestamp=1, key=key, value=value, headers=[]) is not None
    return bytes(builder.build())


@pytest.fixture(autouse=True)
def as_aiokafka_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec.lz4_encode, "__defaults__", (9,))


def test_a_batch_is_compressed_in_the_fast_mode() -> None:
    slow = _batch()
    plain = sum(len(key) + len(value) for key, value in _RECORDS)
    fast_lz4.install()
    fast = _batch()
    fast_lz4.install()
    assert fast == _batch()
    assert len(slow) < len(fast) < plain


def test_what_is_compressed_so_is_read_back() -> None:
    fast_lz4.install()
    assert [(one.key, one.value) for one in DefaultRecordBatch(_batch())] == _RECORDS


def test_aiokafka_still_compresses_at_the_level_that_is_replaced() -> None:
    level = inspect.signature(codec.lz4_encode).parameters["level"]
    assert level.default == 9
