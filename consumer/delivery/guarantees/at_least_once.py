"""At-least-once into Kafka: an offset is committed after what it settles is acknowledged."""

from collections.abc import Iterable, Sequence

from consumer.delivery.guarantees.committer import Committer
from consumer.delivery.guarantees.publisher import Publisher, Receipt
from consumer.delivery.offsets import Ledger
from consumer.records import Outcome, Published, Record, Skip
from runtime.kafka.protocol import KafkaConsumer, Partition


class AtLeastOnce:
    """Events and dead letters by one idempotent producer, offsets by the group's committer.

    An offset is committed after what it settles is acknowledged: a crash between the two repeats
    that work.
    """

    by_partition = False

    def __init__(self, publisher: Publisher, committer: Committer, ledger: Ledger) -> None:
        self._publisher = publisher
        self._committer = committer
        self._ledger = ledger
        self.start = publisher.start
        self.stop = publisher.stop
        self.finish = committer.finish
        self.run = committer.run
        self.commit = committer.commit

    @property
    def committed(self) -> int:
        """Records settled by commits since the start."""
        return self._committer.committed

    @property
    def last_progress(self) -> float:
        """When records were last acknowledged (monotonic)."""
        return self._committer.last_progress

    async def assigned(self, _: KafkaConsumer, partitions: frozenset[Partition]) -> None:
        """Begin an epoch for each, at once: what an earlier owner still writes, it writes twice."""
        self._ledger.assign(partitions)

    async def publish(self, records: Sequence[Record], outcomes: Sequence[Outcome]) -> Receipt:
        """Publish; what is acknowledged is committed with the committer's next commit."""
        published: list[Published] = [one for one in outcomes if not isinstance(one, Skip)]
        receipt = await self._publisher.publish(records, published)
        # Acknowledged, both: only now may their offsets settle.
        self._committer.finish((*receipt.events, *receipt.dead_lettered))
        return receipt

    def give_up(self, records: Iterable[Record]) -> None:
        """Nothing waits for them."""

    async def let_go(self, partitions: frozenset[Partition]) -> None:
        """Nothing is under way by partition."""
