"""The service's life: start, rebalances, drains, the end and its exit code."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import structlog

from consumer.checks import check
from consumer.delivery.batcher import Batcher
from consumer.delivery.checks import check_kafka
from consumer.delivery.end import ended, log_end
from consumer.delivery.fuse import Fuse
from consumer.delivery.guarantees.kinds import make_guarantee
from consumer.delivery.guarantees.sending import OutcomeSender
from consumer.delivery.in_flight import InFlight
from consumer.delivery.log_ends import LogEnds
from consumer.delivery.offsets import Ledger
from consumer.delivery.partition_states import not_begun, partition_states
from consumer.delivery.poller import Poller
from consumer.delivery.retention import taken_away_before
from consumer.delivery.scheduler import LAST_ACKS_S, Scheduler
from consumer.delivery.topic_watch import VERIFY_S, TopicWatch
from consumer.delivery.watchdog import Watchdog
from consumer.errors import FuseBlown, Stuck, exit_code
from consumer.options import LAST_COMMIT_S, ServiceLimits, Until
from consumer.processor import RecordProcessor
from consumer.telemetry import log_events
from consumer.telemetry.observer import NullObserver, Observer
from consumer.telemetry.state import PartitionState, Phase, Snapshot
from consumer.tracing import Tracing
from runtime.background import BackgroundTasks, unended, watched_callbacks
from runtime.clock import Clock, SystemClock, sleep, wait_all
from runtime.errors import AccessDenied, Broken, ServiceError
from runtime.kafka.aiokafka_brokers import AiokafkaBrokers
from runtime.kafka.errors import Denied, KafkaFault
from runtime.kafka.options import KafkaOptions
from runtime.kafka.protocol import Brokers, KafkaConsumer, Partition
from runtime.signals import caught_signals
from runtime.telemetry import log_events as shared_events
from runtime.telemetry.waiting import Waiting
from schemas import DeadLetter

_log = structlog.get_logger("consumer")

_START_S = 60.0
"""For brokers that start at the same time as we do; then exit 1, to be started again."""
_SAY_S = 10.0
"""Brokers are tried each second; what is wrong with them is logged so often."""
_DISCONNECT_S = 3.0
"""After the last commit, for consumer and producer together. With the drain's 20 s, the last
acknowledgements and the commit it makes 29 s, below Kubernetes' 30."""


class Service:
    """Posts in, affect events out: one member of the group, on one event loop.

    Makes no thread and opens no connection before `run`. One instance runs once.

    Raises:
        Misconfigured: options and limits contradict each other; the message says how.
    """

    def __init__(
        self,
        options: KafkaOptions,
        processor: RecordProcessor,
        *,
        limits: ServiceLimits | None = None,
        observer: Observer | None = None,
        clock: Clock | None = None,
        brokers: Brokers | None = None,
        before_joining: Callable[[], Awaitable[None]] | None = None,
        beside: Callable[[], Coroutine[Any, Any, None]] | None = None,
        reporting: Callable[[], Coroutine[Any, Any, None]] | None = None,
        conceal: Callable[[DeadLetter], DeadLetter] = lambda dead_letter: dead_letter,
        tracing: Tracing | None = None,
    ) -> None:
        """`before_joining` is awaited between the checks of Kafka and joining the group.

        The processor must be ready when it returns. `beside` runs from then on, to tell what goes
        wrong while no record is processed; `reporting` runs until the end begins. What any of them
        raises ends the service, and so does it if one of the last two returns. `conceal` gives a
        dead letter as its topic may hold it, with or without what identifies someone.
        """
        self._options = options
        self._processor = processor
        self._before_joining = before_joining
        self._beside = beside
        self._reporting = reporting
        self._limits = limits = limits or ServiceLimits()
        check(options, limits)
        self._observer = observer = observer or NullObserver()
        self._clock = clock = clock or SystemClock()
        self._brokers = brokers or AiokafkaBrokers(options)
        self._ledger = Ledger()
        self._in_flight = InFlight(limits.in_flight)
        self._batcher = Batcher(limits.batch)
        self._guarantee = make_guarantee(
            self._brokers,
            options,
            limits,
            sender=OutcomeSender(options, model=lambda: processor.model, conceal=conceal),
            ledger=self._ledger,
            in_flight=self._in_flight,
            batcher=self._batcher,
            clock=clock,
            observer=observer,
            watch=self._topics,
            on_failure=self._fail,
        )
        self._scheduler = Scheduler(
            processor=processor,
            batcher=self._batcher,
            guarantee=self._guarantee,
            in_flight=self._in_flight,
            fuse=Fuse(limits.fuse),
            limits=limits.batch,
            clock=clock,
            observer=observer,
            on_room=self._on_room,
            on_failure=self._fail,
            tracing=tracing,
        )
        self._poller: Poller | None = None
        self._log_ends: LogEnds | None = None
        self._watch: TopicWatch | None = None
        self._consumer: KafkaConsumer | None = None
        self._joined = False
        self._ever_joined = False
        self._phase: Phase = "starting"
        self._until = Until()
        self._stopping = asyncio.Event()
        self._abandoned = asyncio.Event()
        self._background = BackgroundTasks(self._fail)
        self.error: BaseException | None = None
        """Why the service ended by itself; None after a stop that was asked for."""

    # What others call.

    async def run(self, *, until: Until | None = None, signals: bool = True) -> int:
        """Work until stopped, failed, or `until`; give the process's exit status.

        With `signals`, SIGTERM and SIGINT stop it as `stop` does, a second one as `abandon` does.

        Returns:
            0 done, 1 broken (start it again), 2 wrong configuration, 3 stopped by the fuse, the
            canary or refused credentials.
        """
        self._until = until or Until()
        with (
            caught_signals(self._on_signal) if signals else nullcontext(),
            watched_callbacks(self._fail),
        ):
            self._background.start("start", self._start(), may_end=True)
            if self._reporting is not None:
                self._background.start("report", self._reporting())
            try:
                await self._stopping.wait()
            finally:
                await self._end()
        return exit_code(self.error)

    def stop(self) -> None:
        """Take nothing new, finish what is started within the budget, commit, end."""
        self._stopping.set()

    def abandon(self) -> None:
        """End now: what isn't finished comes again, and nothing more is committed."""
        self._abandoned.set()
        self._stopping.set()

    def snapshot(self) -> Snapshot:
        """Say how it is doing."""
        now = self._clock.monotonic()
        poller, oldest = self._poller, self._ledger.oldest
        finished = max(self._guarantee.last_progress, self._scheduler.last_finish)
        return Snapshot(
            phase=self._phase,
            partitions=tuple(self._partition_states()),
            not_begun=not_begun(self._ledger, self._consumer) if self._joined else (),
            available=self._processor.available,
            joined=self._joined,
            paused=poller.paused if poller else None,
            in_flight_records=self._in_flight.records,
            in_flight_bytes=self._in_flight.nbytes,
            batches=self._scheduler.batches,
            oldest_in_flight_s=0.0 if oldest is None else now - oldest,
            since_loop_s=now - poller.last_loop if poller else 0.0,
            since_finish_s=now - finished,
            since_available_s=now - poller.available_since if poller else 0.0,
            consumed=poller.consumed if poller else 0,
            published=self._scheduler.published,
            dead_letters=self._scheduler.dead_letters,
            committed=self._guarantee.committed,
        )

    # What the consumer calls (`RebalanceListener`).

    async def on_revoked(self, partitions: frozenset[Partition]) -> None:
        """Drain what is started of them, commit it, let them go."""
        if self._poller is not None:
            self._poller.revoking()
        with self._ending_on_errors():
            await unended("revoke", self._let_go(partitions), may_end=True)

    async def on_assigned(self, partitions: frozenset[Partition]) -> None:
        """Begin an epoch for each."""
        with self._ending_on_errors():
            await unended("assign", self._begin(partitions), may_end=True)

    async def _begin(self, partitions: frozenset[Partition]) -> None:
        if (consumer := self._consumer) is None:
            return  # the assignment is of a consumer that is being replaced
        await self._guarantee.assigned(consumer, partitions)
        self._joined = True
        if self._poller is not None:
            self._poller.reassigned()
        if self._log_ends is not None:
            self._log_ends.forget()
        _log.info(log_events.PARTITIONS_ASSIGNED, partitions=len(partitions))
        self._observer.rebalanced(len(partitions))
        if partitions:
            await self._background.cancel("retention", "verify")
            assert self._watch is not None
            verifying = self._background.start("verify", self._watch.verify(), may_end=True)
            await wait_all(self._clock, (verifying,), VERIFY_S)
            # Beside the reading: the group is not to wait for it.
            counting = taken_away_before(consumer, partitions, self._observer)
            self._background.start("retention", counting, may_end=True)

    @contextmanager
    def _ending_on_errors(self) -> Iterator[None]:
        """What a listener raises, aiokafka logs, and goes on as if nothing were."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends the service
            self._fail(error)

    def _on_signal(self, name: str) -> None:
        if self._stopping.is_set():
            _log.warning(log_events.ABANDONING, signal=name)
            self.abandon()
        else:
            _log.info(log_events.STOPPING, signal=name, budget_s=self._limits.drain.stop_s)
            self.stop()

    # Start.

    async def _start(self) -> None:
        consumer = await self._connect_in_time()
        watch = self._watch = TopicWatch(
            self._options,
            self._clock,
            self._current,
            ledger=self._ledger,
            on_created_again=self._on_created_again,
            observer=self._observer,
        )
        await watch.look()
        if self._before_joining is not None:
            self._phase = "waiting"
            await self._before_joining()
        poller = self._poller = Poller(
            self._options,
            self._limits.in_flight,
            processor=self._processor,
            ledger=self._ledger,
            in_flight=self._in_flight,
            batcher=self._batcher,
            clock=self._clock,
            observer=self._observer,
            max_records=self._until.max_records,
        )
        self._log_ends = LogEnds(poller, self._clock, self._current)
        self._join(consumer)
        self._ever_joined = True
        limits = self._limits.watchdog
        watchdog = Watchdog(limits, self._options, poller, self._clock, self._current)
        self._background.start("watchdog", watchdog.run(self._restart_consumer))
        self._background.start("topics", watch.run())
        if self._beside is not None:
            self._background.start("processor", self._beside())
        self._background.start("log-ends", self._log_ends.run())
        self._phase = "running"
        _log.info(log_events.STARTED, group=self._options.group_id)

    async def _connect_in_time(self) -> KafkaConsumer:
        """Connect, check what can be checked, and wait for brokers that come up as we do.

        Raises:
            AccessDenied, Misconfigured: as the checks do.
            Broken: no broker answers.
        """
        until = self._clock.monotonic() + _START_S
        waiting = Waiting(shared_events.KAFKA_UNREACHABLE, self._clock, every_s=_SAY_S)
        while True:
            try:
                consumer = await self._connect()
                await self._guarantee.start()
            except Denied as error:
                advice = "" if "kafka.sasl" in str(error) else "; correct the credentials"
                raise AccessDenied(f"the brokers refuse us: {error}{advice}") from error
            except KafkaFault as error:
                if self._clock.monotonic() >= until:
                    raise Broken(f"no connection to {self._options.bootstrap}: {error}") from error
                waiting.still(
                    bootstrap=self._options.bootstrap,
                    reason=str(error),
                    gives_up_in_s=round(until - self._clock.monotonic()),
                )
                if self._consumer is not None:
                    await self._consumer.stop(timeout_s=_DISCONNECT_S)
                await sleep(self._clock, 1.0)
            else:
                return consumer

    async def _connect(self) -> KafkaConsumer:
        self._consumer = consumer = self._brokers.consumer()
        await consumer.start()
        await check_kafka(self._options, consumer)
        return consumer

    def _join(self, consumer: KafkaConsumer) -> None:
        assert self._poller is not None
        consumer.subscribe(self)
        self._background.start("poller", self._poller.run(consumer, self._on_round))
        self._background.start("committer", self._guarantee.run(consumer))

    # While running.

    def _on_room(self) -> None:
        if self._poller is not None:
            self._poller.regulate()

    def _on_round(self) -> None:
        """After each look for records: start batches, and see whether a bounded run is over."""
        poller = self._poller
        assert poller is not None
        if poller.over or self._caught_up(poller):
            self._scheduler.last = True
            if "finish" not in self._background:
                self._background.start("finish", self._finish(), may_end=True)
        self._scheduler.pump()

    def _caught_up(self, poller: Poller) -> bool:
        quiet_s = self._until.caught_up_s
        if quiet_s is None or self._in_flight.records:
            return False
        if self._clock.monotonic() - poller.last_delivery < quiet_s:
            return False
        states = self._partition_states()
        begun = self._consumer is None or len(states) == len(self._consumer.assignment())
        return begun and bool(states) and all(state.lag == 0 for state in states)

    async def _finish(self) -> None:
        """Finish all that was received, however long it takes, and stop."""
        while self._in_flight.records and not self._stopping.is_set():
            await self._scheduler.wait_for_one()
        self.stop()

    async def _let_go(self, partitions: frozenset[Partition]) -> None:
        self._joined = False
        consumer, started = self._consumer, self._clock.monotonic()
        ours = partitions & self._ledger.partitions()
        if not ours or consumer is None:
            await self._guarantee.let_go(partitions)
            return
        epochs = {epoch for one in ours if (epoch := self._ledger.epoch(one)) is not None}
        self._in_flight.release(self._batcher.drop(epochs))
        await self._scheduler.drain(self._limits.drain.revoke_s, epochs=epochs)
        if not self._abandoned.is_set():
            try:
                await self._guarantee.commit(consumer, ours, within_s=LAST_COMMIT_S)
            except ServiceError as error:
                self._fail(error)
        # All: one may have begun meanwhile. What finishes from now on is no longer ours to commit.
        abandoned = self._ledger.lose(partitions)
        await self._guarantee.let_go(partitions)
        seconds = self._clock.monotonic() - started
        _log.info(
            log_events.PARTITIONS_REVOKED,
            partitions=len(ours),
            abandoned=abandoned,
            seconds=seconds,
        )
        self._observer.revoked(len(ours), abandoned, seconds)

    def _current(self) -> KafkaConsumer | None:
        return self._consumer

    def _topics(self) -> TopicWatch:
        assert self._watch is not None, "it is there before the group is joined"
        return self._watch

    def _on_created_again(self, partitions: frozenset[Partition]) -> bool:
        """What was read of the old topic says nothing about the new one: begin at its start."""
        # No await in here: a fetch of the old position could come between.
        consumer = self._consumer
        if consumer is None or not partitions <= consumer.assignment():
            return False  # a rebalance is under way, and its end looks again
        epochs = [epoch for one, epoch, _ in self._ledger.entries() if one in partitions]
        self._in_flight.release(self._batcher.drop(epochs))
        self._ledger.begin_again(partitions)
        if self._log_ends is not None:
            self._log_ends.forget()
        consumer.seek_to_beginning(partitions)
        return True

    async def _restart_consumer(self) -> None:
        """Replace the Kafka consumer: the old one delivers nothing any more.

        Raises:
            Stuck: the new one can't even connect.
        """
        old = self._consumer
        assert old is not None
        self._observer.consumer_restarted()
        await self._background.cancel("poller", "committer", "retention", "verify")
        await self._let_go(old.assignment() | self._ledger.partitions())
        self._consumer = None  # it may be given partitions until it has left
        await old.stop(timeout_s=_DISCONNECT_S)
        try:
            self._join(await self._connect())
        except KafkaFault as error:
            raise Stuck(f"the new consumer can't connect: {error}") from error

    def _fail(self, error: BaseException) -> None:
        if self.error is None:
            self.error = error
        self._stopping.set()

    # The end.

    async def _end(self) -> None:
        """Let what is started finish within the budget, commit it, and disconnect.

        Each phase has its own deadline, all counted from now: what one doesn't need, the others
        don't get, and a broker that doesn't answer holds none of them longer.
        """
        self._phase, self._joined = "draining", False
        budget_s = self._limits.drain.stop_s
        drained_by = self._clock.monotonic() + budget_s + LAST_ACKS_S
        self._scheduler.close()
        await self._background.cancel()
        self._in_flight.release(self._batcher.drop())
        abandon = asyncio.ensure_future(self._abandoned.wait())
        try:
            done = await self._scheduler.drain(
                budget_s, publishing_only=self.error is not None, unless=abandon
            )
        finally:
            abandon.cancel()
        if not done:
            _log.warning(
                log_events.WORK_ABANDONED,
                records=sum(s.in_flight for s in self._partition_states()),
            )
        committed_by = min(drained_by, self._clock.monotonic()) + LAST_COMMIT_S
        await self._commit_last(committed_by - self._clock.monotonic())
        await self._disconnect(committed_by + _DISCONNECT_S - self._clock.monotonic())
        await self._background.cancel()  # what an assignment began that came meanwhile
        self._phase = "stopped"
        self._log_end()

    async def _commit_last(self, within_s: float) -> None:
        """Commit what is acknowledged, whatever ended the service, unless it is told not to."""
        if self._consumer is None or self._abandoned.is_set():
            return
        try:
            await self._guarantee.commit(self._consumer, within_s=max(1.0, within_s))
        except ServiceError as error:
            self._fail(error)

    async def _disconnect(self, within_s: float) -> None:
        """Leave the group and end the producer, both at once: neither waits for the other."""
        within_s = max(1.0, within_s)
        leaving = [self._guarantee.stop(timeout_s=within_s)]
        if self._consumer is not None:
            leaving.append(self._consumer.stop(timeout_s=within_s))
        for error in await ended(self._clock, leaving, within_s + 1.0):
            self._fail(error)

    def _log_end(self) -> None:
        if isinstance(self.error, FuseBlown):
            self._observer.fuse_blown()
        log_end(
            self.error,
            joined=self._ever_joined,
            published=self._scheduler.published,
            dead_letters=self._scheduler.dead_letters,
            committed=self._guarantee.committed,
        )

    def _partition_states(self) -> list[PartitionState]:
        if self._consumer is None:
            return []
        held = self._poller.held if self._poller is not None else {}
        return partition_states(self._ledger, self._consumer, held, self._log_ends)
