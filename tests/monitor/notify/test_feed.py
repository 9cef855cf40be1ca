"""Alerts on a real Kafka are notified once, also when the notifier was killed in between."""

import asyncio
from typing import Any

import msgspec

from monitor.notify.feed import AlertFeed
from monitor.notify.notifier import Notifier
from runtime.clock import SystemClock
from runtime.kafka.aiokafka_brokers import AiokafkaBrokers
from runtime.kafka.connection import Broker
from runtime.kafka.options import KafkaOptions
from runtime.kafka.producing import BoundedProducer, Outgoing, kafka_producer
from schemas.alert import Alert, AlertAction
from tests.monitor.notify.alerts import NOON, alert
from tests.monitor.notify.test_notifier import FakeTarget, options


class Counting(FakeTarget):
    """Sets `reached` once it has so many."""

    def __init__(self, wanted: int) -> None:
        super().__init__()
        self.wanted = wanted
        self.reached = asyncio.Event()

    async def deliver(self, notification: Any) -> None:
        await super().deliver(notification)
        if len(self.taken) >= self.wanted:
            self.reached.set()


def feed(bootstrap: str, topic: str, notifier: Notifier) -> AlertFeed:
    kafka = KafkaOptions(
        bootstrap=bootstrap, group_id=f"{topic}-notify", input_topics=(topic,),
        auto_offset_reset="latest",
    )  # fmt: skip
    return AlertFeed(AiokafkaBrokers(kafka).consumer(), notifier)


async def write(bootstrap: str, topic: str, *values: Alert | AlertAction | bytes) -> None:
    async with kafka_producer(Broker(bootstrap=bootstrap), topics=[topic]) as producer:
        sends = BoundedProducer(producer)
        for value in values:
            body = value if isinstance(value, bytes) else msgspec.json.encode(value)
            await sends.send(Outgoing(topic=topic, key=b"k", value=body))
        await sends.drain()


async def test_each_transition_is_told_once_across_a_restart_and_what_is_no_alert_to_nobody(
    bootstrap: str, topic: str
) -> None:
    action = AlertAction(version=1, id="a", alert_id="alert-1", action="ack", by="me", at=NOON)
    await write(bootstrap, topic, alert(0))  # before the group's first look: not news
    notified: list[str] = []
    for numbers in ((1, 2), (3,)):
        target = Counting(len(numbers))
        notifier = Notifier([(target, options(group_s=0))], clock=SystemClock())
        notifier.start()
        reading = feed(bootstrap, topic, notifier)
        task = asyncio.create_task(reading.run())
        await asyncio.wait_for(reading.assigned.wait(), 20)
        await write(
            bootstrap, topic, *(alert(n, track=f"t{n}") for n in numbers), action, b"{", b'"x"'
        )
        await asyncio.wait_for(target.reached.wait(), 20)
        reading.stop()
        await asyncio.wait_for(task, 20)
        await notifier.aclose(within_s=1)
        notified += [one.track for one in target.taken]
    assert sorted(notified) == ["t1", "t2", "t3"]
