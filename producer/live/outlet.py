"""Kafka as the live service sees it: a producer, and what the topic's end says, both at once."""

from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple, Protocol

from producer.live.resume import Resume, read_back
from runtime.kafka.connection import Broker
from runtime.kafka.producing import Delivery, RecordProducer, kafka_producer
from runtime.kafka.topic_log import kafka_topic_log


class Opened(NamedTuple):
    """One opening, until the first fault."""

    producer: RecordProducer
    resume: Resume


class Outlet(Protocol):
    """Where records go."""

    def open(self, sources: Collection[str]) -> AbstractAsyncContextManager[Opened]:
        """Connect, and read where these sources go on.

        Raises (on entering):
            KafkaFault: no broker, no topic, no right.
        """


class KafkaOutlet:
    """A topic of a Kafka cluster."""

    def __init__(self, broker: Broker, topic: str, *, delivery: Delivery, remember: int) -> None:
        self._broker = broker
        self._topic = topic
        self._delivery = delivery
        self._remember = remember

    @asynccontextmanager
    async def open(self, sources: Collection[str]) -> AsyncIterator[Opened]:
        """Connect, and read where these sources go on; see `Outlet`."""
        async with kafka_producer(self._broker, self._delivery, topics=[self._topic]) as producer:
            async with kafka_topic_log(self._topic, self._broker) as log:
                resume = await read_back(log, sources, remember=self._remember)
            yield Opened(producer, resume)
