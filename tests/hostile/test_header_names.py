"""A header's name is whatever bytes its producer wrote: none of them stops a partition."""

import uuid
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from infra.kafka import TopicSpec, create_topics
from runtime.kafka.aiokafka_brokers import AiokafkaBrokers
from runtime.kafka.options import KafkaOptions
from runtime.kafka.record_batches import CheckedRecords
from tests.hostile.raw_records import RawName, raw_builder, send_raw
from tests.runtime.kafka.clusters import Member

NAMES: tuple[bytes, ...] = (
    b"\xff\xfe",
    b"",
    b"caf\xe9",
    b"\xed\xa0\x80",
    "grün".encode(),
    b"a" * 900,
)


def batch_of(*names: bytes, compression: int = 0) -> bytes:
    builder = raw_builder(compression)
    for offset, name in enumerate(names):
        headers = [(RawName(name), b"v"), (RawName(b"own"), None)]
        builder.append(offset, 1_700_000_000_000, b"k", b"v%d" % offset, headers)
    return bytes(builder.build())


def read(data: bytes) -> list[Any]:
    records = CheckedRecords(data)
    found = []
    while records.has_next():
        batch = records.next_batch()
        assert batch is not None
        assert batch.validate_crc()
        found += list(batch)
    assert records.next_batch() is None
    return found


@pytest.mark.parametrize("compression", [0, 1, 2, 3, 4])
def test_every_record_of_a_batch_is_read_whatever_its_headers_are_called(compression: int) -> None:
    found = read(batch_of(*NAMES, compression=compression) * 2)
    assert [record.value for record in found] == [b"v%d" % n for n in range(len(NAMES))] * 2
    names = [record.headers[0][0] for record in found[: len(NAMES)]]
    assert names == ["\\xff\\xfe", "", "caf\\xe9", "\\xed\\xa0\\x80", "grün", "a" * 900]
    assert all(record.headers == [(record.headers[0][0], b"v"), ("own", None)] for record in found)


async def test_the_consumer_gets_what_comes_before_with_and_after_it(bootstrap: str) -> None:
    topic = f"names.{uuid.uuid4().hex[:8]}"
    await create_topics({"bootstrap_servers": bootstrap}, [TopicSpec(topic, 1)])
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    for name in (b"good", b"\xff", b"good"):
        headers = [(name, b"v")]
        await (await send_raw(producer, topic, 0, key=None, value=b"x", headers=headers))
    await producer.stop()
    options = KafkaOptions(bootstrap=bootstrap, group_id=topic, input_topics=(topic,))
    member = Member(AiokafkaBrokers(options).consumer())
    await member.join()
    try:
        await member.look_until(lambda: len(member.got) == 3)
    finally:
        await member.consumer.stop()
    found = [(one.offset, one.headers[0][0]) for _, one in member.got]
    assert found == [(0, "good"), (1, "\\xff"), (2, "good")]
