"""Sending: what is in flight is bounded, what is reported is counted, nothing waits without end."""

import asyncio

import pytest
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError, NotEnoughReplicasError

from runtime.kafka.connection import Broker
from runtime.kafka.errors import DeliveryStalled, Unreachable
from runtime.kafka.producing import BoundedProducer, Delivery, Outgoing, kafka_producer
from tests.producer.fakes import FakeProducer


def record(number: int = 0) -> Outgoing:
    return Outgoing(topic="t", key=str(number).encode(), value=b"v")


async def test_no_more_than_the_bound_is_in_flight() -> None:
    producer = FakeProducer(at_once=False)
    sends = BoundedProducer(producer, Delivery(max_in_flight=3))
    sending = asyncio.create_task(send_all(sends, 10))
    for number in range(10):
        await producer.took(number + 1)
        producer.acknowledge()
    await sending
    await sends.drain()
    assert producer.most_waiting == 3
    assert (sends.acked, sends.failed, sends.in_flight) == (10, 0, 0)


async def send_all(sends: BoundedProducer, count: int) -> None:
    for number in range(count):
        await sends.send(record(number))


async def test_a_refused_record_is_counted_by_its_error_and_sending_goes_on() -> None:
    producer = FakeProducer()
    producer.refuse = lambda r: NotEnoughReplicasError() if r.key == b"1" else None
    producer.raises = lambda r: MessageSizeTooLargeError() if r.key == b"2" else None
    sends = BoundedProducer(producer)
    acked: list[int] = []
    for number in range(4):
        await sends.send(record(number), on_ack=lambda number=number: acked.append(number))  # type: ignore[misc]
    await sends.drain()
    assert (sends.acked, sends.failed, sends.in_flight) == (2, 2, 0)
    assert sends.errors == {"NotEnoughReplicasError": 1, "MessageSizeTooLargeError": 1}
    assert acked == [0, 3]


async def test_a_delivery_report_that_was_cancelled_is_a_failed_one() -> None:
    """A producer that is closed cancels what it hasn't sent."""
    producer = FakeProducer(at_once=False)
    sends = BoundedProducer(producer)
    acked: list[str] = []
    await sends.send(record(), on_ack=lambda: acked.append("acked"))
    (report,) = producer.waiting
    report.cancel()
    await sends.drain()
    assert (sends.acked, sends.failed, sends.in_flight) == (0, 1, 0)
    assert acked == []


async def test_a_record_with_neither_key_nor_value_is_counted_as_failed() -> None:
    sends = BoundedProducer(FakeProducer())
    await sends.send(Outgoing(topic="t", key=None, value=None))
    assert sends.errors == {"EmptyRecordError": 1}


async def test_draining_ends_when_nothing_is_acknowledged() -> None:
    sends = BoundedProducer(FakeProducer(at_once=False), Delivery(timeout_s=0.01))
    await sends.send(record())
    with pytest.raises(DeliveryStalled, match="1 records in flight"):
        await sends.drain()


async def test_waiting_for_room_ends_when_nothing_is_acknowledged() -> None:
    sends = BoundedProducer(FakeProducer(at_once=False), Delivery(max_in_flight=1, timeout_s=0.01))
    await sends.send(record())
    with pytest.raises(DeliveryStalled):
        await sends.send(record())


async def test_a_client_that_takes_no_record_ends_the_run() -> None:
    producer = FakeProducer()
    producer.raises = lambda _record: KafkaTimeoutError()
    sends = BoundedProducer(producer)
    with pytest.raises(DeliveryStalled, match="KafkaTimeoutError"):
        await sends.send(record())
    assert sends.failed == 1


async def test_no_broker_is_an_error_with_its_address_and_what_to_do() -> None:
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1: .*emostream broker"):
        async with kafka_producer(Broker(bootstrap="127.0.0.1:1")):
            pass


def test_a_broker_never_shows_its_secrets() -> None:
    assert "s3cret" not in repr(Broker(security={"sasl_plain_password": "s3cret"}))
