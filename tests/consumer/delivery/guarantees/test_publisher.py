"""What the publisher leaves behind when it is cut short: nothing."""

import asyncio
import gc
from typing import Any

import pytest

from consumer.delivery.guarantees.publisher import Publisher
from consumer.options import PublishLimits
from consumer.records import Emit
from runtime.kafka.errors import ProducerLost, Unreachable
from tests.consumer.delivery.rig import options
from tests.consumer.records import make_record
from tests.runtime.fake_clock import FakeClock, settle
from tests.runtime.kafka.fake_kafka import FakeKafka
from tests.runtime.kafka.fake_producer import FakeProducer

EVENT = Emit(key=None, value=b"event", headers=())


async def started(kafka: FakeKafka, clock: FakeClock) -> Publisher:
    publisher = Publisher(kafka.brokers(options()), options(), PublishLimits(timeout_s=6), clock)
    await publisher.start()
    return publisher


async def test_a_publish_that_is_cancelled_leaves_no_failure_that_nobody_saw(
    complaints: list[Any],
) -> None:
    """Of two sends one has failed, and the other is waited for."""
    clock = FakeClock()
    kafka = FakeKafka({"affect.events": 1}, clock)
    kafka.held_topics = {"affect.events"}
    publisher = await started(kafka, clock)
    kafka.send_faults = [Unreachable("no leader")]
    records = [make_record(b"{}", offset) for offset in range(2)]
    publishing = asyncio.ensure_future(publisher.publish(records, [EVENT, EVENT]))
    await settle()
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing
    await publisher.stop(timeout_s=0)
    gc.collect()
    assert complaints == []


async def test_a_new_producer_that_does_not_come_about_in_time_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = FakeClock()
    kafka = FakeKafka({"affect.events": 1}, clock)
    publisher = await started(kafka, clock)
    new: list[FakeProducer] = []

    async def never(producer: FakeProducer) -> None:
        new.append(producer)
        await asyncio.Event().wait()

    monkeypatch.setattr(FakeProducer, "start", never)
    kafka.send_faults = [ProducerLost("out of order")]
    publishing = asyncio.ensure_future(publisher.publish([make_record(b"{}")], [EVENT]))
    await clock.advance(7)
    assert (await publishing).error is not None
    await publisher.stop(timeout_s=0)
    assert [producer.stopped for producer in new] == [True]
