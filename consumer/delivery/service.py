"""The service's life: start, rebalances, drains, the end and its exit code."""

import asyncio
from collections.abc import Coroutine
from contextlib import nullcontext
from typing import Any

import structlog

from consumer.checks import check
from consumer.delivery.batcher import Batcher
from consumer.delivery.checks import check_topics
from consumer.delivery.committer import Committer
from consumer.delivery.fuse import Fuse
from consumer.delivery.in_flight import InFlight
from consumer.delivery.offsets import Ledger
from consumer.delivery.publisher import Publisher
from consumer.delivery.scheduler import Work
from consumer.delivery.source import Source
from consumer.delivery.watchdog import Watchdog
from consumer.errors import FuseBlown, Stuck
from consumer.options import LAST_COMMIT_S, ServiceLimits, Until
from consumer.processor import RecordProcessor
from consumer.telemetry import log_events
from consumer.telemetry.observer import NullObserver, Observer
from consumer.telemetry.state import PartitionState, Phase, Snapshot
from emollm.errors import Stop, WrongRequest
from runtime.clock import Clock, SystemClock, sleep
from runtime.errors import AccessDenied, Broken, ServiceError
from runtime.kafka.aiokafka_brokers import AiokafkaBrokers
from runtime.kafka.errors import Denied, KafkaFault
from runtime.kafka.options import KafkaOptions
from runtime.kafka.protocol import Brokers, KafkaConsumer, Partition
from runtime.signals import caught_signals

_log = structlog.get_logger("consumer")

EXIT_DONE = 0
EXIT_BROKEN = 1
EXIT_MISCONFIGURED = 2
EXIT_HALTED = 3

_START_S = 60.0
"""For brokers that start at the same time as we do; then exit 1, to be started again."""


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
    ) -> None:
        self._options = options
        self._processor = processor
        self._limits = limits = limits or ServiceLimits()
        check(options, limits)
        self._observer = observer = observer or NullObserver()
        self._clock = clock = clock or SystemClock()
        self._brokers = brokers or AiokafkaBrokers(options)
        self._ledger = Ledger()
        self._in_flight = InFlight(limits.in_flight)
        self._batcher = Batcher(limits.batch)
        self._committer = Committer(
            self._ledger,
            limits.commit,
            clock=clock,
            observer=observer,
            static_id=options.group_instance_id,
        )
        self._publisher = Publisher(self._brokers, options, limits.publish, clock)
        self._work = Work(
            processor=processor,
            batcher=self._batcher,
            publisher=self._publisher,
            committer=self._committer,
            in_flight=self._in_flight,
            fuse=Fuse(limits.fuse),
            limits=limits.batch,
            clock=clock,
            observer=observer,
            on_room=self._on_room,
            on_failure=self._fail,
        )
        self._source: Source | None = None
        self._consumer: KafkaConsumer | None = None
        self._phase: Phase = "starting"
        self._until = Until()
        self._stopping = asyncio.Event()
        self._abandoned = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
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
        with caught_signals(self._on_signal) if signals else nullcontext():
            self._spawn("start", self._start())
            try:
                await self._stopping.wait()
            finally:
                await self._end()
        return self._exit_code()

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
        source, oldest = self._source, self._ledger.oldest
        return Snapshot(
            phase=self._phase,
            partitions=tuple(self._partition_states()),
            available=self._processor.available,
            paused=source.paused if source else None,
            in_flight_records=self._in_flight.records,
            in_flight_bytes=self._in_flight.nbytes,
            batches=self._work.batches,
            oldest_in_flight_s=0.0 if oldest is None else now - oldest,
            since_loop_s=now - source.last_loop if source else 0.0,
            since_progress_s=now
            - max(self._committer.last_progress, source.last_delivery if source else 0.0),
            consumed=source.consumed if source else 0,
            published=self._work.published,
            dead_letters=self._work.dead_letters,
            committed=self._committer.committed,
        )

    # What the consumer calls (`RebalanceListener`).

    async def on_revoked(self, partitions: frozenset[Partition]) -> None:
        """Drain what is started of them, commit it, let them go."""
        await self._let_go(partitions, self._limits.drain.revoke_s)

    async def on_assigned(self, partitions: frozenset[Partition]) -> None:
        """Begin an epoch for each."""
        self._ledger.assign(partitions)
        if self._source is not None:
            self._source.reassigned()
        _log.info(log_events.PARTITIONS_ASSIGNED, partitions=len(partitions))
        self._observer.rebalanced(len(partitions))

    def _on_signal(self, name: str) -> None:
        if self._stopping.is_set():
            _log.warning(log_events.ABANDONING, signal=name)
            self.abandon()
        else:
            _log.info(log_events.STOPPING, signal=name, budget_s=self._limits.drain.stop_s)
            self.stop()

    # Start.

    async def _start(self) -> None:
        until = self._clock.monotonic() + _START_S
        while True:
            try:
                consumer = await self._connect()
                await self._publisher.start()
                break
            except Denied as error:
                raise AccessDenied(
                    f"the brokers refuse us: {error}; mend the credentials"
                ) from error
            except KafkaFault as error:
                if self._clock.monotonic() >= until:
                    raise Broken(f"no connection to {self._options.bootstrap}: {error}") from error
                _log.warning(
                    log_events.KAFKA_UNREACHABLE,
                    bootstrap=self._options.bootstrap,
                    error=str(error),
                )
                if self._consumer is not None:
                    await self._consumer.stop()
                await sleep(self._clock, 1.0)
        self._source = Source(
            self._options,
            processor=self._processor,
            ledger=self._ledger,
            in_flight=self._in_flight,
            batcher=self._batcher,
            clock=self._clock,
            observer=self._observer,
            max_records=self._until.max_records,
        )
        self._join(consumer)
        watchdog = Watchdog(
            self._limits.watchdog, self._options, self._source, self._clock, self._current
        )
        self._spawn("watchdog", watchdog.run(self._restart_consumer))
        self._phase = "running"
        _log.info(log_events.STARTED, group=self._options.group_id)

    async def _connect(self) -> KafkaConsumer:
        self._consumer = consumer = self._brokers.consumer()
        await consumer.start()
        check_topics(self._options, await consumer.topics())
        return consumer

    def _join(self, consumer: KafkaConsumer) -> None:
        assert self._source is not None
        consumer.subscribe(self)
        self._spawn("source", self._source.run(consumer, self._on_round))
        self._spawn("committer", self._committer.run(consumer))

    def _spawn(self, name: str, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine, name=f"emostream-{name}")
        self._tasks[name] = task
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    # While running.

    def _on_room(self) -> None:
        if self._source is not None:
            self._source.regulate()

    def _on_round(self) -> None:
        """After each look for records: start batches, and see whether a bounded run is over."""
        source = self._source
        assert source is not None
        if source.over or self._caught_up(source):
            self._work.last = True
            if "finish" not in self._tasks:
                self._spawn("finish", self._finish())
        self._work.pump()

    def _caught_up(self, source: Source) -> bool:
        quiet_s = self._until.caught_up_s
        if quiet_s is None or self._in_flight.records:
            return False
        if self._clock.monotonic() - source.last_delivery < quiet_s:
            return False
        states = self._partition_states()
        return bool(states) and all(state.lag == 0 for state in states)

    async def _finish(self) -> None:
        """Finish all that was taken up, however long it takes, and stop."""
        while self._in_flight.records and not self._stopping.is_set():
            await self._work.wait_for_one()
        self.stop()

    async def _let_go(self, partitions: frozenset[Partition], within_s: float) -> None:
        consumer, started = self._consumer, self._clock.monotonic()
        ours = partitions & self._ledger.partitions()
        if not ours or consumer is None:
            return
        epochs = {epoch for one in ours if (epoch := self._ledger.epoch(one)) is not None}
        self._in_flight.release(*self._batcher.drop(epochs))
        await self._work.drain(within_s, epochs=epochs)
        if not self._abandoned.is_set():
            try:
                await self._committer.commit(consumer, ours, within_s=LAST_COMMIT_S)
            except ServiceError as error:
                self._fail(error)
        # Whatever finishes from here on finds no tracker: it is no longer ours to commit.
        abandoned = self._ledger.lose(ours)
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

    async def _restart_consumer(self) -> None:
        """Make the Kafka consumer anew: the old one delivers nothing any more.

        Raises:
            Stuck: the new one can't even connect.
        """
        old = self._consumer
        assert old is not None
        self._observer.consumer_restarted()
        await self._cancel("source", "committer")
        await self._let_go(self._ledger.partitions(), self._limits.drain.revoke_s)
        await old.stop()
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
        """Let what is started finish within the budget, commit it, and disconnect."""
        self._phase = "draining"
        self._work.close()
        await self._cancel("start", "finish", "watchdog", "source", "committer")
        self._in_flight.release(*self._batcher.drop())
        abandon = asyncio.ensure_future(self._abandoned.wait())
        try:
            done = await self._work.drain(
                self._limits.drain.stop_s,
                publishing_only=self.error is not None,
                unless=abandon,
            )
        finally:
            abandon.cancel()
        if not done:
            _log.warning(
                log_events.WORK_ABANDONED,
                records=sum(s.in_flight for s in self._partition_states()),
            )
        await self._commit_last()
        if self._consumer is not None:
            await self._consumer.stop()
        await self._publisher.stop()
        self._phase = "stopped"
        self._say_goodbye()

    async def _commit_last(self) -> None:
        """Commit what is finished, unless told not to: dead letters of a bad deploy come again."""
        if self._consumer is None or self._abandoned.is_set() or isinstance(self.error, FuseBlown):
            return
        try:
            await self._committer.commit(self._consumer, within_s=LAST_COMMIT_S)
        except ServiceError as error:
            self._fail(error)

    async def _cancel(self, *names: str) -> None:
        tasks = [task for name in names if (task := self._tasks.pop(name, None)) is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _exit_code(self) -> int:
        match self.error:
            case None:
                return EXIT_DONE
            case ServiceError():
                return self.error.exit_code
            case WrongRequest():
                return EXIT_MISCONFIGURED
            case Stop():
                return EXIT_HALTED
            case _:
                return EXIT_BROKEN

    def _say_goodbye(self) -> None:
        counts = {
            "published": self._work.published,
            "dead_letters": self._work.dead_letters,
            "committed": self._committer.committed,
        }
        if self.error is None:
            _log.info(log_events.STOPPED, **counts)
            return
        if isinstance(self.error, FuseBlown):
            self._observer.fuse_blown()
        known = isinstance(self.error, ServiceError | Stop)
        _log.error(
            log_events.FAILED,
            error=type(self.error).__name__,
            # The message of an error that nobody foresaw may quote a post.
            reason=str(self.error) if known else "unexpected: see the traceback",
            exit_code=self._exit_code(),
            exc_info=None if known else self.error,
            **counts,
        )

    def _partition_states(self) -> list[PartitionState]:
        consumer = self._consumer
        if consumer is None:
            return []
        states = []
        for partition, tracker in sorted(self._ledger.held().items()):
            # Idle means that what lies before the consumer's position is settled or a marker.
            stands_at = consumer.position(partition) if tracker.idle else None
            states.append(
                PartitionState(
                    topic=partition.topic,
                    partition=partition.partition,
                    commit_position=tracker.position if stands_at is None else stands_at,
                    high_water=consumer.high_water(partition),
                    in_flight=tracker.in_flight,
                )
            )
        return states
