"""Kafka as the service sees it: the narrow seam that aiokafka and the tests' fake both fit."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from runtime.kafka.errors import KafkaFault

Headers: TypeAlias = Sequence[tuple[str, bytes | None]]


class Partition(NamedTuple):
    """A topic's partition; equal to any other named tuple of the same two."""

    topic: str
    partition: int


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
        """Key, as it stands in the log."""

    @property
    def value(self) -> bytes | None:
        """Value, as it stands in the log; None is a tombstone."""

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

    def subscribe(self, listener: RebalanceListener) -> None:
        """Join the group for the configured topics or pattern."""

    async def getmany(
        self, *, timeout_s: float, max_records: int
    ) -> Mapping[Partition, Sequence[ConsumedRecord]]:
        """Wait up to `timeout_s` for records of partitions that aren't paused.

        During a rebalance it waits for its end. A cancelled call loses no records.
        """

    def assignment(self) -> frozenset[Partition]:
        """The partitions assigned now."""

    def pause(self) -> None:
        """Deliver nothing of what is assigned now. A new assignment begins unpaused."""

    def resume(self) -> None:
        """Deliver again what is assigned now."""

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Commit, for each partition, the offset to begin from next time. One attempt.

        Raises:
            Fenced: this member is no longer of the group's generation.
            KafkaFault: anything else.
        """

    def position(self, partition: Partition) -> int | None:
        """Offset after everything delivered, markers included; None if unknown or unassigned."""

    def high_water(self, partition: Partition) -> int | None:
        """Where the log ended at the last fetch; None before it."""

    async def end_offsets(
        self, partitions: Iterable[Partition], *, timeout_s: float
    ) -> dict[Partition, int]:
        """Ask the brokers where these logs end now."""

    async def stop(self) -> None:
        """Leave the group (unless the membership is static) and disconnect. Commits nothing."""


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


class Brokers(Protocol):
    """Makes clients of one Kafka cluster."""

    def consumer(self) -> KafkaConsumer:
        """Make a group member, not started."""

    def producer(self) -> KafkaProducer:
        """Make a producer, not started."""
