"""The seam between what was analysed and Kafka: outcomes are published, their offsets committed.

There are two of them: `AtLeastOnce` and `ExactlyOnce`. Nothing else in the consumer knows which
one it is.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from consumer.delivery.guarantees.publisher import Receipt
from consumer.records import Outcome, Record
from runtime.kafka.protocol import KafkaConsumer, Partition


class Guarantee(Protocol):
    """Publishes outcomes and commits offsets, and so decides what a crash repeats."""

    by_partition: bool
    """Whether outcomes are settled in the order of each partition's offsets, skipped ones among
    them. Then `publish` is called for one partition at a time. Else each is settled alone."""

    @property
    def committed(self) -> int:
        """Records settled by commits since the start."""

    @property
    def last_progress(self) -> float:
        """When records were last settled (monotonic)."""

    async def start(self) -> None:
        """Connect to Kafka, before the group is joined.

        Raises:
            ServiceError: it can't work; the message says what to change.
            KafkaFault: there is no connection to be had, this time.
        """

    async def assigned(self, consumer: KafkaConsumer, partitions: frozenset[Partition]) -> None:
        """The group gave these: begin an epoch for each as soon as nobody else writes for it.

        Of a partition without an epoch nothing is read.
        """

    async def publish(self, records: Sequence[Record], outcomes: Sequence[Outcome]) -> Receipt:
        """Publish; return when it is acknowledged, or when it won't be.

        Never raises but for being cancelled: the receipt says what is settled. `Skip`s are among
        the outcomes only where it is `by_partition`.
        """

    def finish(self, records: Iterable[Record]) -> None:
        """These are skipped: nothing is published for them. Not called where `by_partition`."""

    def give_up(self, records: Iterable[Record]) -> None:
        """These get no outcome in this epoch, which is about to be lost."""

    async def run(self, consumer: KafkaConsumer) -> None:
        """Commit in a rhythm, while this is a member of the group, until cancelled.

        Raises:
            ServiceError: commits can't succeed; the message says what to change.
        """

    async def commit(
        self,
        consumer: KafkaConsumer,
        partitions: frozenset[Partition] | None = None,
        *,
        within_s: float,
    ) -> bool:
        """Commit what is finished of these (None: of all), within `within_s` seconds.

        Gives whether it is done.

        Raises:
            ServiceError: as `run`.
        """

    async def let_go(self, partitions: frozenset[Partition]) -> None:
        """These are lost: whatever is under way for them is undone."""

    async def stop(self, *, timeout_s: float) -> None:
        """Let go of everything and disconnect, within `timeout_s` seconds."""
