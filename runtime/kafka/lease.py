"""One active member of a group: who holds partition 0 of a topic, by Kafka's own group protocol.

The others stand by, and the group gives the partition to one of them when the holder leaves, dies
or hangs. That alone doesn't stop a holder that was thought dead and wakes up: `fenced.py` does.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import KafkaError

from runtime.kafka import unclosed
from runtime.kafka.coordinators import wait_for_brokers
from runtime.kafka.errors import KafkaFault, TopicMissing
from runtime.kafka.faults import read_fault
from runtime.kafka.options import KafkaOptions
from runtime.kafka.stopping import stop_consumer
from runtime.spelling import did_you_mean
from runtime.telemetry import log_events

_log = structlog.get_logger(__name__)

_POLL_S = 1.0
"""How often the group's client is called, for it to know that this member is alive."""
_STOP_S = 5.0


class Lease:
    """Membership of a group for one partition.

    `held` is set while this member holds it. A rebalance doesn't clear it: the holder works on
    until the group gives the partition to another, so that a standby that comes or goes costs
    nothing. Whoever holds it must be fenced by what it writes with.
    """

    def __init__(self, options: KafkaOptions, topic: str) -> None:
        """`options.group_id` is the group; its offsets are none of this class's business."""
        self._options = options
        self._partition = TopicPartition(topic, 0)
        self._consumer: Any = None
        self._polling: asyncio.Task[None] | None = None
        self.held = asyncio.Event()
        self.lost = asyncio.Event()
        """Set while another holds it, or nobody yet."""
        self.lost.set()
        self.joined = asyncio.Event()
        """Set once the group has told who holds it."""
        self._nothing_held = False
        """Whether the group gave this member nothing, and it isn't known yet that it could."""

    async def start(self) -> None:
        """Join the group.

        Raises:
            TopicMissing: there is no such topic: nobody could ever hold a partition of it.
            KafkaFault: no broker answers, or it refuses.
        """
        options = self._options
        unclosed.install()
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=options.bootstrap,
            client_id=options.client_id,
            group_id=options.group_id,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            session_timeout_ms=round(1000 * options.session_timeout_s),
            heartbeat_interval_ms=round(1000 * options.heartbeat_interval_s),
            rebalance_timeout_ms=round(1000 * options.session_timeout_s),
            max_poll_interval_ms=round(1000 * options.max_poll_interval_s),
            request_timeout_ms=round(1000 * options.request_timeout_s),
            # The holder keeps it when another one joins. aiokafka keeps what it holds on the
            # class: each member needs its own.
            partition_assignment_strategy=(type("Sticky", (StickyPartitionAssignor,), {}),),
            **options.security,
        )
        wait_for_brokers(self._consumer._client)  # noqa: SLF001 - no public way
        try:
            await self._consumer.start()
            await self._require_topic()
        except KafkaError as error:
            raise read_fault(error) from error
        self._consumer.subscribe([self._partition.topic], listener=_Listener(self._assigned))
        self._polling = asyncio.create_task(self._poll())

    async def ended(self) -> None:
        """Return, or raise, when the membership ends by an error."""
        if self._polling is not None:
            await asyncio.shield(self._polling)

    async def stop(self) -> None:
        """Leave the group, so that a standby takes over at once."""
        if self._polling is not None:
            self._polling.cancel()
            # What ended it was told by `ended`: here it would keep the member from leaving.
            with suppress(asyncio.CancelledError, KafkaError, KafkaFault):
                await self._polling
            self._polling = None
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            if not await stop_consumer(consumer, within_s=_STOP_S):
                _log.warning(
                    log_events.GROUP_LEAVE_FAILED, session_timeout_s=self._options.session_timeout_s
                )
        self.held.clear()
        self.lost.set()

    async def _poll(self) -> None:
        while True:
            try:
                # Paused, nothing is fetched; the call is what the group wants to see.
                await self._consumer.getmany(timeout_ms=round(1000 * _POLL_S))
                if self._nothing_held:  # another holds it, or the topic was deleted
                    await self._require_topic()
                    self._nothing_held = False
            except KafkaError as error:
                if not error.retriable:
                    raise read_fault(error) from error
                await asyncio.sleep(_POLL_S)

    async def _require_topic(self) -> None:
        cluster = await self._consumer._client.fetch_all_metadata()  # noqa: SLF001 - no public way
        topic = self._partition.topic
        if not cluster.partitions_for_topic(topic):
            raise TopicMissing(f"there is no topic {topic}{did_you_mean(topic, cluster.topics())}")

    def _assigned(self, partitions: set[TopicPartition]) -> None:
        self._nothing_held = not partitions
        if partitions:
            self._consumer.pause(*partitions)
        if self._partition in partitions:
            self.lost.clear()
            self.held.set()
        else:
            self.held.clear()
            self.lost.set()
        self.joined.set()


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, assigned: Callable[[set[TopicPartition]], None]) -> None:
        self._assigned = assigned

    async def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        """Nothing: who holds it next is told by the assignment."""

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        self._assigned(set(assigned))
