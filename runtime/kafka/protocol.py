"""Kafka as the service sees it: the narrow seam that aiokafka and the tests' fake both fit."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from runtime.kafka.errors import KafkaFault

Headers: TypeAlias = Sequence[tuple[str, bytes | None]]


class Partition(NamedTuple):
    """A topic's partition; equal to any other named tuple of the same two."""

    topic: str
    partition: int


class BadBatch(NamedTuple):
    """Where a partition stopped: the batch there can't be read."""

    offset: int
    """The first offset that wasn't delivered."""
    reason: str
    """What is wrong with it; nothing of its content."""
    next_offset: int | None = None
    """Where the batch after it begins; None where that can't be told."""


class OffsetAndMetadata(NamedTuple):
    """A group's committed offset of one partition, and the words that are kept beside it."""

    offset: int
    """Where reading begins next time."""
    metadata: str = ""
    """See `runtime.kafka.offset_metadata`; other clients write what they like."""


class TopicFacts(NamedTuple):
    """What the brokers say of one topic."""

    id: str
    """Another one when a topic was deleted and created again; empty where brokers give none."""
    operations: frozenset[str]
    """What this user may do with it, of `read`, `write` and others; empty where unknown."""
    cluster_id: str = ""
    """Of the cluster that it is in; empty where brokers give none."""


class ConsumedRecord(Protocol):
    """A record as an adapter delivers it."""

    @property
    def offset(self) -> int:
        """Grows within a partition, with gaps."""

    @property
    def timestamp(self) -> int:
        """Unix milliseconds."""

    @property
    def key(self) -> bytes | None:
        """Key, as it is in the log."""

    @property
    def value(self) -> bytes | None:
        """Value, as it is in the log; None is a tombstone."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        """Headers in their order; names may repeat."""


class RebalanceListener(Protocol):
    """Told by the consumer, between two deliveries."""

    async def on_revoked(self, partitions: frozenset[Partition]) -> None:
        """These are let go when this returns. Not called by `KafkaConsumer.stop()`."""

    async def on_assigned(self, partitions: frozenset[Partition]) -> None:
        """This is the whole assignment now. No record of it was delivered yet."""


class KafkaConsumer(Protocol):
    """One member of a consumer group. All methods raise only `KafkaFault`s."""

    async def start(self) -> None:
        """Connect to the brokers; joins nothing yet."""

    async def topics(self) -> set[str]:
        """Names of the topics that exist and may be seen. Creates none."""

    async def topic_facts(
        self, topics: Iterable[str], *, timeout_s: float
    ) -> dict[str, TopicFacts]:
        """What the brokers say of those topics that exist; none where brokers are too old."""

    async def compacted(self, topic: str, *, timeout_s: float) -> bool:
        """Whether a topic keeps only each key's last record; False where brokers don't tell."""

    async def group_operations(self, *, timeout_s: float) -> frozenset[str]:
        """What this user may do with the group, of `read` and others; empty where unknown."""

    def subscribe(self, listener: RebalanceListener) -> None:
        """Join the group for the configured topics or pattern."""

    async def getmany(
        self,
        *,
        timeout_s: float,
        max_records: int,
        room: Callable[[Partition], int] | None = None,
    ) -> Mapping[Partition, Sequence[ConsumedRecord]]:
        """Wait up to `timeout_s` for records of partitions that aren't paused.

        `room` says how many records a partition may deliver, and is asked when there are some.
        None: any number of any. Partitions take turns in being first. During a rebalance it waits
        for its end. A cancelled call loses no records, and neither does an error: what stops one
        partition stops no other, and is in `bad_batches`.
        """

    @property
    def bad_batches(self) -> Mapping[Partition, BadBatch]:
        """Partitions that stopped at a batch which can't be read. It is tried again when asked."""

    def taken_away(self) -> Mapping[Partition, int]:
        """Offsets that the log's start has passed before they were read, since last asked.

        Retention took these records away; where a partition was compacted, fewer records.
        """

    def assignment(self) -> frozenset[Partition]:
        """The partitions assigned now."""

    def pause(self) -> None:
        """Deliver nothing of what is assigned now. A new assignment begins unpaused."""

    def resume(self) -> None:
        """Deliver again what is assigned now."""

    async def commit(self, offsets: Mapping[Partition, OffsetAndMetadata]) -> None:
        """Commit, for each partition, the offset to begin from next time. One attempt.

        Raises:
            Fenced: this member is no longer of the group's generation.
            KafkaFault: anything else.
        """

    def position(self, partition: Partition) -> int | None:
        """Offset after everything delivered, markers included; None if unknown or unassigned.

        Before the first delivery: where reading begins. Never past what `getmany` has returned.
        """

    def seek(self, partition: Partition, offset: int) -> None:
        """Read this one from an offset on. Not in the same step as a `getmany`."""

    def seek_to_beginning(self, partitions: Iterable[Partition]) -> None:
        """Read these from the start of their logs. Not in the same step as a `getmany`."""

    def high_water(self, partition: Partition) -> int | None:
        """Where the log ended at the last fetch; None before it."""

    async def end_offsets(
        self, partitions: Iterable[Partition], *, timeout_s: float
    ) -> dict[Partition, int]:
        """Ask the brokers where these logs end now."""

    async def beginning_offsets(
        self, partitions: Iterable[Partition], *, timeout_s: float
    ) -> dict[Partition, int]:
        """Ask the brokers where these logs begin now: retention takes away what is before."""

    async def committed(
        self, partitions: Iterable[Partition], *, timeout_s: float
    ) -> dict[Partition, OffsetAndMetadata]:
        """The group's committed offsets; a partition without one is not in it."""

    async def stop(self, *, timeout_s: float = 10.0) -> None:
        """Leave the group (unless the membership is static) and disconnect. Commits nothing.

        Takes at most `timeout_s`; the group notices after the session timeout what it wasn't told.
        """


class KafkaProducer(Protocol):
    """An idempotent producer: acknowledged means on all in-sync replicas, once."""

    async def start(self) -> None:
        """Connect, and get a producer id."""

    async def send(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: Headers
    ) -> asyncio.Future[Any]:
        """Hand over one record; the future is done when it is acknowledged, or failed.

        Waits while the buffer of its partition is full. What it or its future raises is to be
        read by `fault`. Cancelling the future doesn't unsend.
        """

    def fault(self, error: BaseException) -> KafkaFault:
        """What an error of `send` or of its future means."""

    async def stop(self, *, timeout_s: float) -> None:
        """Send what is buffered for up to `timeout_s` seconds, then disconnect."""


class TransactionalProducer(KafkaProducer, Protocol):
    """A producer whose sends and offsets become visible together, or not at all.

    Of all producers with one transactional id only the one that was started last can write: every
    call of an older one fails with what `fault` reads as `Fenced`. One transaction at a time.
    `start` aborts what an older one left open, and returns when that is done.
    """

    async def begin(self) -> None:
        """Begin a transaction: what is sent from here on is part of it."""

    async def send_offsets(
        self, offsets: Mapping[Partition, OffsetAndMetadata], group_id: str
    ) -> None:
        """Make these offsets of the group part of the transaction."""

    async def commit(self) -> None:
        """Make it all visible. What was sent must be acknowledged by then.

        Where this raises or is cancelled, the transaction may have been committed nevertheless.
        """

    async def abort(self) -> None:
        """Undo it all: readers of committed records never see it."""


class Brokers(Protocol):
    """Makes clients of one Kafka cluster."""

    def consumer(self) -> KafkaConsumer:
        """Make a group member, not started."""

    def producer(self) -> KafkaProducer:
        """Make a producer, not started."""

    def transactional_producer(self, transactional_id: str) -> TransactionalProducer:
        """Make a producer for transactions, not started."""

    async def cluster_id(self) -> str:
        """Give the cluster's id, the same from each of its brokers; empty where they name none.

        Raises:
            KafkaFault: no broker answers.
        """
