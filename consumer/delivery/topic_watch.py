"""Topics that are deleted or created again while the service runs.

A topic that is created again under its old name has another id, and its offsets begin at 0: what
was read of the old one says nothing about it. Kafka's clients notice that only where the new log is
shorter than the old position, and would else skip what lies before it.

Until it is noticed, posts of the old topic that end late commit old offsets on the new one. So each
commit names its topic, and whoever is given a partition looks whether the group's offset is of the
topic that is there now.
"""

import asyncio
from collections.abc import Callable, Iterable

import structlog

from consumer.delivery.offsets import Ledger
from consumer.telemetry import log_events
from consumer.telemetry.observer import Observer
from runtime.clock import Clock, sleep
from runtime.errors import Misconfigured
from runtime.kafka.errors import KafkaFault
from runtime.kafka.offset_metadata import is_of_another_topic, offset_metadata
from runtime.kafka.options import KafkaOptions
from runtime.kafka.protocol import KafkaConsumer, Partition, TopicFacts
from runtime.telemetry import log_events as shared_events
from runtime.telemetry.waiting import Waiting

_log = structlog.get_logger("consumer")

EVERY_S = 20.0
"""One small request. With a metadata refresh (30 s) a new topic is read within a minute."""
_WITHIN_S = 10.0
VERIFY_S = 2.0
"""Reading waits so long for the look at what the offsets are of, then goes on beside it: aiokafka
sends no heartbeats meanwhile, and a session may be as short as 6 s."""
_VERIFY_WITHIN_S = 3.0
"""For each of two requests; another broker is asked then."""
_VERIFY_AGAIN_S = 1.0
"""Nothing is committed before it has succeeded."""
_ADVICE = "posts wait; is Kafka running, and where kafka.bootstrap says?"
_MISSING_LOOKS = 2
"""An output topic must be missing in so many looks: one may fall into its creation."""


class TopicWatch:
    """Knows which topic each name means now, and that those that are written exist."""

    def __init__(
        self,
        options: KafkaOptions,
        clock: Clock,
        current: Callable[[], KafkaConsumer | None],
        *,
        ledger: Ledger,
        on_created_again: Callable[[frozenset[Partition]], bool],
        observer: Observer,
    ) -> None:
        """`on_created_again` is called with partitions that are to be read from their start.

        It gives whether they are. `ledger` is told what to commit beside offsets.
        """
        self._bootstrap = options.bootstrap
        self._lost = Waiting(shared_events.KAFKA_UNREACHABLE, clock)
        self._outputs = (options.output_topic, options.dlq_topic)
        self._inputs = options.input_topics
        self._clock = clock
        self._current = current
        self._ledger = ledger
        self._on_created_again = on_created_again
        self._observer = observer
        self._lock = asyncio.Lock()  # an older answer must not come after a newer one
        self._asked = 0
        """Questions about topics that were begun."""
        self._facts: dict[str, TopicFacts] | None = None
        """What the last one was answered with; None where it wasn't."""
        self._known: dict[str, TopicFacts] = {}
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
        async with self._lock:
            if (consumer := self._current()) is None:
                return
            try:
                facts = await self._ask(consumer, timeout_s=_WITHIN_S)
            except KafkaFault as error:
                self._lost.still(bootstrap=self._bootstrap, reason=str(error), advice=_ADVICE)
                return  # which ends by itself
        if self._lost.over():
            _log.info(shared_events.KAFKA_REACHABLE, bootstrap=self._bootstrap)
        if facts:  # else too old to tell, or all are gone: which fetching and publishing notice
            self._require(self._outputs, facts)

    async def verify(self) -> None:
        """Look whether the group's offsets of what was just assigned are of the topics there are.

        Where one isn't, its partition is read from its start. Asks until the brokers have answered.
        """
        while not await self._verify():
            await sleep(self._clock, _VERIFY_AGAIN_S)

    async def same_topic(self, topic: str) -> bool:
        """Whether what was read of an input topic until now is of the one that is there.

        Asks the brokers, once for all who want to know it at the same time. Where the topic is
        another one by now, its partitions are to be read from their start, as with `look`.

        Raises:
            KafkaFault: no broker answers.
        """
        before = self._asked
        async with self._lock:
            if (consumer := self._current()) is None:
                return False
            facts = self._facts
            if self._asked == before or facts is None:
                facts = await self._ask(consumer, timeout_s=_VERIFY_WITHIN_S)
            known = self._known.get(topic)
        if not facts:
            return True
        return known is not None and topic in facts and facts[topic].id in {known.id, ""}

    async def _verify(self) -> bool:
        async with self._lock:
            consumer = self._current()
            waiting = {p: t for p, t in self._ledger.held().items() if t.metadata is None}
            if not waiting or consumer is None:
                return True
            try:
                facts = await self._ask(consumer, timeout_s=_VERIFY_WITHIN_S)
                committed = await consumer.committed(waiting, timeout_s=_VERIFY_WITHIN_S)
            except KafkaFault:
                return False
            # No await from here on: `waiting` is what is assigned, or was.
            held = self._ledger.held()
            for partition in [p for p, tracker in waiting.items() if held.get(p) is not tracker]:
                del waiting[partition]
            foreign = frozenset(
                partition
                for partition in waiting
                if partition.topic in self._known
                and partition in committed
                and is_of_another_topic(committed[partition].metadata, self._known[partition.topic])
            )
            again = self._read_again(foreign)
            held = self._ledger.held()
            for partition in waiting:
                if partition in foreign - again:
                    continue
                if (topic := self._known.get(partition.topic)) is not None:
                    held[partition].metadata = offset_metadata(topic)
                elif not facts:
                    held[partition].metadata = ""  # brokers too old to tell
            return all(held[partition].metadata is not None for partition in waiting)

    async def _ask(self, consumer: KafkaConsumer, *, timeout_s: float) -> dict[str, TopicFacts]:
        """Ask what the topics are, and compare the input topics with what they were.

        The output topics, too: no answer at all means brokers too old to tell.
        """
        # A pattern that takes another topic leaves the client without an assignment for a moment.
        held = consumer.assignment() | self._ledger.partitions()
        inputs = {*self._inputs, *(topic for topic, _ in held)}
        self._asked += 1
        self._facts = None
        facts = await consumer.topic_facts({*inputs, *self._outputs}, timeout_s=timeout_s)
        self._facts = facts
        for topic in sorted(inputs & facts.keys()):
            known, now = self._known.get(topic), facts[topic]
            if known is None or now.id:
                self._known[topic] = now
            if known is not None and known.id and now.id and known.id != now.id:
                again = frozenset(one for one in self._ledger.partitions() if one.topic == topic)
                for partition in self._read_again(again):
                    self._ledger.held()[partition].metadata = offset_metadata(now)
        return facts

    def _read_again(self, partitions: frozenset[Partition]) -> frozenset[Partition]:
        """Read these from their start; give those of which this is so."""
        if not partitions or not self._on_created_again(partitions):
            return frozenset()
        for topic in sorted({partition.topic for partition in partitions}):
            _log.warning(log_events.TOPIC_CREATED_AGAIN, topic=topic)
            self._observer.topic_created_again()
        return partitions

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
