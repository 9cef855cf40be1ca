"""Topics that are deleted or created again while the service runs.

A topic that is created again under its old name has another id, and its offsets begin at 0: what
was read of the old one says nothing about it. Kafka's clients notice that only where the new log is
shorter than the old position, and would else skip what lies before it.
"""

from collections.abc import Callable, Iterable

import structlog

from consumer.telemetry import log_events
from runtime.clock import Clock, sleep
from runtime.errors import Misconfigured
from runtime.kafka.errors import KafkaFault
from runtime.kafka.options import KafkaOptions
from runtime.kafka.protocol import KafkaConsumer
from runtime.telemetry import log_events as shared_events
from runtime.telemetry.waiting import Waiting

_log = structlog.get_logger("consumer")

EVERY_S = 20.0
"""One small request. With a metadata refresh (30 s) a new topic is read within a minute."""
_WITHIN_S = 10.0
_MISSING_LOOKS = 2
"""An output topic must be missing in so many looks: one may fall into its creation."""


class TopicWatch:
    """Knows the id of each topic that is read, and that those that are written exist."""

    def __init__(
        self,
        options: KafkaOptions,
        clock: Clock,
        current: Callable[[], KafkaConsumer | None],
        on_created_again: Callable[[str], None],
    ) -> None:
        """`on_created_again` is called with the name of each input topic that has another id."""
        self._bootstrap = options.bootstrap
        self._lost = Waiting(shared_events.KAFKA_UNREACHABLE, clock)
        self._outputs = (options.output_topic, options.dlq_topic)
        self._inputs = options.input_topics
        self._clock = clock
        self._current = current
        self._on_created_again = on_created_again
        self._ids: dict[str, str] = {}
        self._missing: dict[str, int] = {}

    async def run(self) -> None:
        """Look until cancelled.

        Raises:
            Misconfigured: an output topic is gone.
        """
        while True:
            await sleep(self._clock, EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Ask once.

        Raises:
            Misconfigured: an output topic is gone.
        """
        consumer = self._current()
        if consumer is None:
            return
        inputs = {*self._inputs, *(topic for topic, _ in consumer.assignment())}
        try:
            facts = await consumer.topic_facts({*inputs, *self._outputs}, timeout_s=_WITHIN_S)
        except KafkaFault as error:
            self._lost.still(bootstrap=self._bootstrap, reason=str(error))
            return  # which ends by itself
        if self._lost.over():
            _log.info(shared_events.KAFKA_REACHABLE, bootstrap=self._bootstrap)
        if not facts:
            return  # too old to tell, or all are gone: which fetching and publishing notice
        for topic in sorted(inputs & facts.keys()):
            self._compare(topic, facts[topic].id)
        self._require(self._outputs, facts)

    def _compare(self, topic: str, topic_id: str) -> None:
        known = self._ids.get(topic)
        self._ids[topic] = topic_id
        if known and topic_id and known != topic_id:
            _log.warning(log_events.TOPIC_CREATED_AGAIN, topic=topic)
            self._on_created_again(topic)

    def _require(self, topics: Iterable[str], existing: Iterable[str]) -> None:
        for topic in topics:
            if topic in existing:
                self._missing.pop(topic, None)
                continue
            self._missing[topic] = self._missing.get(topic, 0) + 1
            if self._missing[topic] >= _MISSING_LOOKS:
                raise Misconfigured(
                    f"the topic {topic} was deleted: `emostream topics create` creates it again; "
                    "then start again, nothing that it didn't take was committed"
                )
