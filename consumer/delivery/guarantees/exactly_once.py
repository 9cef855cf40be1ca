"""Exactly-once into Kafka: what comes of a post and its offset become visible together."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from consumer.delivery.batcher import Batcher
from consumer.delivery.guarantees.fenced_assignments import FencedAssignments
from consumer.delivery.guarantees.partition_transactions import PartitionTransactions, Shared
from consumer.delivery.guarantees.publisher import Receipt
from consumer.delivery.guarantees.sending import OutcomeSender
from consumer.delivery.guarantees.transactional_start import start_transactions
from consumer.delivery.in_flight import InFlight
from consumer.delivery.offsets import Ledger
from consumer.delivery.topic_watch import TopicWatch
from consumer.options import CommitPolicy, PublishLimits
from consumer.records import Outcome, Record
from consumer.telemetry.observer import Observer
from runtime.clock import Clock, sleep, wait_all
from runtime.errors import Broken
from runtime.kafka.options import KafkaOptions
from runtime.kafka.protocol import Brokers, KafkaConsumer, Partition, TransactionalProducer

_RETIRE_S = 1.0
"""For a producer that is no longer used to disconnect: nothing it holds counts."""


class ExactlyOnce:
    """One producer for each assigned partition, whose transactions hold outcomes and offsets."""

    by_partition = True

    def __init__(
        self,
        brokers: Brokers,
        options: KafkaOptions,
        *,
        limits: PublishLimits,
        policy: CommitPolicy,
        sender: OutcomeSender,
        ledger: Ledger,
        in_flight: InFlight,
        batcher: Batcher,
        clock: Clock,
        observer: Observer,
        watch: Callable[[], TopicWatch],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        """`on_failure` is told what ends the service."""
        self._brokers = brokers
        self._options = options
        self._policy = policy
        self._clock = clock
        self._observer = observer
        self._on_failure = on_failure
        self._in_flight = in_flight
        self._batcher = batcher
        self._fenced = FencedAssignments(options.group_instance_id, ledger)
        self._shared = Shared(
            brokers=brokers,
            options=options,
            limits=limits,
            sender=sender,
            ledger=ledger,
            clock=clock,
            observer=observer,
            verify=lambda: watch().verify(),
            same_topic=lambda topic: watch().same_topic(topic),
            drop_queued=self._drop_queued,
            on_committed=self._on_committed,
            on_fenced=self._fenced.count,
            retire=self._retire,
        )
        self._partitions: dict[Partition, PartitionTransactions] = {}
        self._running: dict[PartitionTransactions, asyncio.Task[None]] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self._stopped = False
        self.committed = 0
        """Records settled since the start."""
        self.last_progress = clock.monotonic()
        """When records were last settled (monotonic)."""

    async def start(self) -> None:
        """See whether transactions are possible here, and whether we may begin them.

        Raises:
            AccessDenied, Misconfigured: they aren't.
            KafkaFault: no broker answers to that, this time.
        """
        producer = self._brokers.transactional_producer(self._options.check_id)
        await start_transactions(producer, self._options, self._clock, retire=self._retire)
        self._retire(producer)

    async def assigned(self, consumer: KafkaConsumer, partitions: frozenset[Partition]) -> None:
        """Fence earlier owners of each, look where they came to, and read from there.

        Beside the caller: aiokafka sends no heartbeats while it waits for this.
        """
        await self.let_go(frozenset(self._partitions))
        # An assignment is the whole of what is ours. By an epoch that is left over, of a consumer
        # that was replaced, a partition would be read before it begins.
        ledger = self._shared.ledger
        ledger.lose(ledger.partitions())
        if self._stopped:  # the group had us in while we were leaving: the next owner's it is
            return
        for partition in sorted(partitions):
            one = self._partitions[partition] = PartitionTransactions(
                partition, consumer, self._shared
            )
            task = self._running[one] = asyncio.ensure_future(one.run())
            task.add_done_callback(self._ended)

    async def publish(self, records: Sequence[Record], outcomes: Sequence[Outcome]) -> Receipt:
        """Wait until these are settled by transactions, or won't be. Of one partition and epoch."""
        one = self._partitions.get(Partition(records[0].topic, records[0].partition))
        handed_over = None if one is None else one.add(records, outcomes)
        if one is None or handed_over is None:
            self._observer.late_finish(len(records))
            return Receipt([], [], [])
        try:
            await handed_over.done
        except asyncio.CancelledError:
            one.withdraw(handed_over)
            raise
        return handed_over.receipt

    def finish(self, records: Iterable[Record]) -> None:
        """Not called: skipped records are outcomes, too, for their offsets are in transactions."""
        raise NotImplementedError

    def give_up(self, records: Iterable[Record]) -> None:
        """What lies behind these in their partitions can't be settled any more."""
        for record in records:
            one = self._partitions.get(Partition(record.topic, record.partition))
            if one is not None:
                one.give_up(record)

    async def run(self, _: KafkaConsumer) -> None:
        """Transactions follow the outcomes; in this rhythm the offset moves past markers."""
        while True:
            await sleep(self._clock, self._policy.interval_s)
            for one in self._partitions.values():
                one.wake(markers=True)

    async def commit(
        self,
        _: KafkaConsumer,
        partitions: frozenset[Partition] | None = None,
        *,
        within_s: float,
    ) -> bool:
        """Let the transactions of these end; give whether they have, within `within_s` seconds."""
        chosen = self._partitions if partitions is None else partitions & self._partitions.keys()
        quiet: list[asyncio.Future[bool]] = []
        for partition in chosen:
            one = self._partitions[partition]
            one.wake(markers=True)
            quiet.append(asyncio.ensure_future(one.quiet.wait()))
        late = await wait_all(self._clock, quiet, within_s)
        for one_late in late:
            one_late.cancel()
        return not late

    async def let_go(self, partitions: frozenset[Partition]) -> None:
        """Abort what is open for these, and stop their producers."""
        ended = [self._partitions.pop(one) for one in partitions if one in self._partitions]
        tasks = [task for one in ended if (task := self._running.pop(one, None)) is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(one.close() for one in ended))

    async def stop(self, *, timeout_s: float) -> None:
        """Let go of everything, and disconnect."""
        self._stopped = True
        until = self._clock.monotonic() + timeout_s
        await self.let_go(frozenset(self._partitions))
        left = max(_RETIRE_S, until - self._clock.monotonic())
        for late in await wait_all(self._clock, tuple(self._retiring), left):
            late.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_failure(error)
        elif task in self._running.values():  # nobody has let go of its partition
            self._on_failure(Broken("a partition's transactions ended unasked"))

    def _drop_queued(self, epoch: int) -> None:
        self._in_flight.release(self._batcher.drop((epoch,)))

    def _on_committed(self, records: int) -> None:
        self._fenced.forget()
        self.committed += records
        self.last_progress = self._clock.monotonic()
        self._observer.committed(1, records)

    def _retire(self, producer: TransactionalProducer) -> None:
        task = asyncio.ensure_future(producer.stop(timeout_s=_RETIRE_S))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)
