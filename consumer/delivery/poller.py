"""The fetch loop: always running, pausing instead of waiting, never in the way of inference."""

from collections.abc import Callable, Mapping, Sequence

import structlog

from consumer.delivery.batcher import Batcher
from consumer.delivery.checks import not_taken
from consumer.delivery.in_flight import InFlight
from consumer.delivery.offsets import Ledger, OffsetTracker
from consumer.options import InFlightLimits
from consumer.processor import RecordProcessor
from consumer.records import Record
from consumer.telemetry import log_events
from consumer.telemetry.observer import Observer
from consumer.telemetry.state import Held, Paused
from runtime.clock import Clock, sleep
from runtime.errors import AccessDenied, Misconfigured
from runtime.kafka.errors import Denied, GroupRefused, KafkaFault, NoOffset
from runtime.kafka.options import FETCH_WAIT_S, KafkaOptions
from runtime.kafka.protocol import BadBatch, ConsumedRecord, KafkaConsumer, Partition
from runtime.telemetry.waiting import Waiting

_log = structlog.get_logger("consumer")

_LOOK_RECORDS = 1_000
"""At most in one look: receiving them holds the event loop for some milliseconds."""
_BACK_OFF_S = 0.5
"""After a fetch that failed: aiokafka goes on by itself, and the watchdog watches."""
BAD_BATCH_RETRY_S = 30.0
"""Until a batch that can't be read is fetched again: another replica may become the leader, whose
copy is good. One log line for each try."""


class Poller:
    """Receives records: counts, tracks and queues them in one step, so that none falls between.

    Each partition is asked for as much as it has room for: a backlog of one doesn't keep the
    others waiting, and a partition that can't go on stops alone.
    """

    def __init__(
        self,
        options: KafkaOptions,
        limits: InFlightLimits,
        *,
        processor: RecordProcessor,
        ledger: Ledger,
        in_flight: InFlight,
        batcher: Batcher,
        clock: Clock,
        observer: Observer,
        max_records: int | None = None,
    ) -> None:
        self._options = options
        self._limits = limits
        self._processor = processor
        self._ledger = ledger
        self._in_flight = in_flight
        self._batcher = batcher
        self._clock = clock
        self._observer = observer
        self._left = max_records
        self._consumer: KafkaConsumer | None = None
        self._stopped: dict[Partition, tuple[BadBatch, float]] = {}
        """What was told of partitions that can't go on, and when they are tried again."""
        self._failing = Waiting(log_events.FETCH_FAILED, clock)
        self.paused: Paused | None = None
        """Why nothing is fetched now; None while it is."""
        self.held: dict[Partition, Held] = {}
        """Partitions that aren't fetched while others are, and why."""
        self.rebalancing = False
        """Whether the group is taking partitions away and hasn't given new ones."""
        self.consumed = 0
        """Records received."""
        self.last_loop = clock.monotonic()
        """When the loop last came round (monotonic)."""
        self.last_delivery = clock.monotonic()
        """When records were last received (monotonic)."""
        self.available_since = clock.monotonic()
        """Since when a model server takes prompts (monotonic)."""

    async def run(self, consumer: KafkaConsumer, on_round: Callable[[], None]) -> None:
        """Fetch until cancelled; call `on_round` after each look.

        Past `max_records` it goes on paused: a member that doesn't look is thrown out.

        Raises:
            AccessDenied: the brokers refuse us.
            Misconfigured: there is no offset to begin from.
        """
        self._consumer, self.paused = consumer, None
        options = self._options
        while True:
            self.regulate()
            for partition in tuple(self.held):
                self.room(partition)  # it may have come free, with nothing more to deliver
            most = self._in_flight.room(_LOOK_RECORDS)
            if self._left is not None:
                most = max(1, min(most, self._left))
            try:
                fetched = await consumer.getmany(
                    timeout_s=FETCH_WAIT_S, max_records=most, room=self.room
                )
            except Denied as error:
                raise AccessDenied(
                    f"the brokers refuse to let us read: {error}; grant READ on the input topics "
                    f"and the group {options.group_id}, or correct the credentials"
                ) from error
            except GroupRefused as error:
                raise Misconfigured(not_taken(options, error)) from error
            except NoOffset as error:
                raise Misconfigured(
                    f"no offset to begin from ({error}), and auto_offset_reset is `none`: set it "
                    "to `earliest` or `latest`, or give the group its offsets"
                ) from error
            except KafkaFault as error:
                self._failing.still(error=str(error))
                await sleep(self._clock, _BACK_OFF_S)
                continue
            self._failing.over()
            self.last_loop = self._clock.monotonic()
            if fetched:
                self._receive(fetched)
            self._note_lost(consumer)
            self._note_bad_batches(consumer)
            on_round()

    @property
    def over(self) -> bool:
        """Whether the run's bound on records is reached."""
        return self._left is not None and self._left <= 0

    @property
    def begun(self) -> frozenset[Partition]:
        """Partitions that are read: of others nothing is delivered."""
        return self._ledger.partitions()

    def regulate(self) -> None:
        """Pause or resume, by what is in flight and whether the analysis takes work.

        Pausing costs what was prefetched: so it goes on only below the low-water mark.
        """
        consumer = self._consumer
        if consumer is None:
            return
        reason: Paused | None
        if self.over:
            reason = "over"
        elif not self._processor.available:
            reason = "unavailable"
        elif self.paused in {"records", "bytes"} and not self._in_flight.low:
            reason = self.paused
        else:
            reason = self._in_flight.full
        if reason is not None and self.paused is None:
            consumer.pause()
            if reason != "over":
                self._observer.paused(reason)
        elif reason is None and self.paused is not None:
            consumer.resume()
            self._observer.resumed()
        now = self._clock.monotonic()
        if self.paused == "unavailable" and reason != "unavailable":
            self.available_since = now
        if self.paused is not None and reason is None:
            # What was paused delivered nothing: the watchdog counts from here.
            self.last_delivery = now
        self.paused = reason

    def revoking(self) -> None:
        """Partitions are being taken away; `reassigned` ends it."""
        self.rebalancing = True

    def reassigned(self) -> None:
        """A new assignment begins unpaused: pause it at once if it must be."""
        self.rebalancing = False
        self.paused = None
        self.held.clear()
        self._stopped.clear()
        self.last_loop = self.last_delivery = self._clock.monotonic()
        self.regulate()

    def room(self, partition: Partition) -> int:
        """How many records the partition may deliver now; 0 while it is held."""
        epoch = self._ledger.epoch(partition)
        tracker = None if epoch is None else self._ledger.tracker(epoch)
        if self.paused is not None or epoch is None or tracker is None:
            return 0
        why = self._why_held(partition, epoch, tracker)
        if why is None:
            self.held.pop(partition, None)
            window = self._limits.max_window - tracker.window
            return min(window, self._in_flight.room_of(epoch))
        if self.held.get(partition) != why:
            self.held[partition] = why
            self._observer.paused(why)
        return 0

    def _why_held(self, partition: Partition, epoch: int, tracker: OffsetTracker) -> Held | None:
        before, limits = self.held.get(partition), self._limits
        stopped = self._stopped.get(partition)
        if stopped is not None and self._clock.monotonic() < stopped[1]:
            return "bad_batch"
        low = limits.resume_at * limits.max_window if before == "window" else limits.max_window - 1
        if tracker.window > low:
            return "window"
        full = self._in_flight.room_of(epoch) <= 0
        if full or (before == "records" and not self._in_flight.low_of(epoch)):
            return "records"
        return None

    def _note_bad_batches(self, consumer: KafkaConsumer) -> None:
        """Say once for each try that a partition can't go on, and leave it alone for a while."""
        now = self._clock.monotonic()
        bad: Mapping[Partition, BadBatch] = consumer.bad_batches
        for partition in [one for one in self._stopped if one not in bad]:
            del self._stopped[partition]
            _log.info(log_events.PARTITION_GOES_ON, partition=_name(partition))
        for partition, batch in bad.items():
            told = self._stopped.get(partition)
            if told is not None and told[0] is batch:
                continue  # its next try is to come, or is being fetched
            self._stopped[partition] = batch, now + BAD_BATCH_RETRY_S
            _log.error(
                log_events.PARTITION_STOPPED,
                partition=_name(partition),
                offset=batch.offset,
                reason=batch.reason,
                advice="repair the broker's log, or: emostream offsets skip",
            )
            self._observer.bad_batch()

    def _note_lost(self, consumer: KafkaConsumer) -> None:
        """Tell of records that the brokers removed before they were read."""
        for partition, records in consumer.taken_away().items():
            _log.error(log_events.RECORDS_TAKEN_AWAY, partition=_name(partition), records=records)
            self._observer.taken_away(records)

    def _receive(self, fetched: Mapping[Partition, Sequence[ConsumedRecord]]) -> None:
        # No await in here: a revoke finds a record either not yet delivered or wholly accounted.
        wall, now = self._clock.wall(), self._clock.monotonic()
        received = 0
        for partition, consumed in fetched.items():
            epoch = self._ledger.epoch(partition)
            tracker = None if epoch is None else self._ledger.tracker(epoch)
            if epoch is None or tracker is None:
                _log.warning(
                    log_events.RECORDS_UNASSIGNED,
                    partition=_name(partition),
                    records=len(consumed),
                )
                continue
            if consumed and consumed[0].offset <= tracker.last:
                # The log was cut or created again, and reading begins again: what was under way
                # of the old one is nobody's any more.
                _log.warning(
                    log_events.LOG_WENT_BACK,
                    partition=_name(partition),
                    from_offset=tracker.last + 1,
                    to_offset=consumed[0].offset,
                    advice=log_events.LOG_WENT_BACK_ADVICE,
                )
                self._in_flight.release(self._batcher.drop((epoch,)))
                self._ledger.begin_again((partition,))
                epoch = self._ledger.epoch(partition)
                assert epoch is not None
                tracker = self._ledger.tracker(epoch)
                assert tracker is not None
            records = [_record(partition, epoch, one, wall) for one in consumed]
            sizes = [record.nbytes for record in records]
            tracker.deliver([one.offset for one in consumed], now)
            self._batcher.add(records, sizes, now)
            self._in_flight.add(epoch, len(records), sum(sizes))
            received += len(records)
        self.consumed += received
        if self._left is not None:
            self._left -= received
        if received:
            self.last_delivery = now


def _record(partition: Partition, epoch: int, one: ConsumedRecord, wall: float) -> Record:
    topic, number = partition
    return Record(
        topic=topic,
        partition=number,
        offset=one.offset,
        epoch=epoch,
        timestamp_ms=one.timestamp,
        received_at=wall,
        key=one.key,
        value=one.value,
        headers=tuple(one.headers) if one.headers else (),
    )


def _name(partition: Partition) -> str:
    return f"{partition[0]}-{partition[1]}"
