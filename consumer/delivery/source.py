"""The fetch loop: always running, pausing instead of waiting, never in the way of inference."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import structlog

from consumer.delivery.batcher import Batcher
from consumer.delivery.in_flight import InFlight
from consumer.delivery.offsets import Ledger
from consumer.processor import RecordProcessor
from consumer.records import Record
from consumer.telemetry import log_events
from consumer.telemetry.observer import Observer
from runtime.clock import Clock, sleep
from runtime.errors import AccessDenied, Misconfigured
from runtime.kafka.errors import Denied, KafkaFault, NoOffset
from runtime.kafka.options import KafkaOptions
from runtime.kafka.protocol import ConsumedRecord, KafkaConsumer, Partition

_log = structlog.get_logger("consumer")

_BACK_OFF_S = 0.5
"""After a fetch that failed: aiokafka goes on by itself, and the watchdog watches."""

Paused = Literal["records", "bytes", "unavailable", "over"]


class Source:
    """Takes records up: counts, tracks and queues them in one step, so that none falls between."""

    def __init__(
        self,
        options: KafkaOptions,
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
        self._processor = processor
        self._ledger = ledger
        self._in_flight = in_flight
        self._batcher = batcher
        self._clock = clock
        self._observer = observer
        self._left = max_records
        self._consumer: KafkaConsumer | None = None
        self.paused: Paused | None = None
        """Why nothing is fetched now; None while it is."""
        self.consumed = 0
        """Records taken up."""
        self.last_loop = clock.monotonic()
        """When the loop last came round (monotonic)."""
        self.last_delivery = clock.monotonic()
        """When records were last taken up (monotonic)."""

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
            most = self._in_flight.room(options.fetch_max_records)
            if self._left is not None:
                most = max(1, min(most, self._left))
            try:
                fetched = await consumer.getmany(
                    timeout_s=options.fetch_max_wait_s, max_records=most
                )
            except Denied as error:
                raise AccessDenied(
                    f"the brokers refuse to let us read: {error}; grant READ on the input topics "
                    f"and the group {options.group_id}, or mend the credentials"
                ) from error
            except NoOffset as error:
                raise Misconfigured(
                    f"no offset to begin from ({error}), and auto_offset_reset is `none`: set it "
                    "to `earliest` or `latest`, or give the group its offsets"
                ) from error
            except KafkaFault as error:
                _log.warning(log_events.FETCH_FAILED, error=str(error))
                await sleep(self._clock, _BACK_OFF_S)
                continue
            self.last_loop = self._clock.monotonic()
            if fetched:
                self._take_up(fetched)
            on_round()

    @property
    def over(self) -> bool:
        """Whether the run's bound on records is reached."""
        return self._left is not None and self._left <= 0

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
        available_again = self.paused == "unavailable" and reason != "unavailable"
        if available_again or (self.paused is not None and reason is None):
            # What was paused delivered nothing, and what waited for a model server could not
            # finish: watchdog and `/livez` count from here.
            self.last_delivery = self._clock.monotonic()
        self.paused = reason

    def reassigned(self) -> None:
        """A new assignment begins unpaused: pause it at once if it must be."""
        self.paused = None
        self.last_delivery = self._clock.monotonic()
        self.regulate()

    def _take_up(self, fetched: Mapping[Partition, Sequence[ConsumedRecord]]) -> None:
        # No await in here: a revoke finds a record either not yet delivered or wholly accounted.
        wall, now = self._clock.wall(), self._clock.monotonic()
        records: list[Record] = []
        sizes: list[int] = []
        for partition, consumed in fetched.items():
            epoch = self._ledger.epoch(partition)
            tracker = None if epoch is None else self._ledger.tracker(epoch)
            if epoch is None or tracker is None:
                _log.warning(
                    log_events.RECORDS_UNASSIGNED, partition=str(partition), records=len(consumed)
                )
                continue
            if consumed and consumed[0].offset <= tracker.last:
                # The log was cut or made anew, and reading begins again: what was under way of
                # the old one is nobody's any more.
                _log.warning(log_events.LOG_WENT_BACK, partition=str(partition))
                self._ledger.assign((partition,))
                epoch = self._ledger.epoch(partition)
                assert epoch is not None
                tracker = self._ledger.tracker(epoch)
                assert tracker is not None
            topic, number = partition
            for one in consumed:
                record = Record(
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
                records.append(record)
                sizes.append(record.nbytes)
            tracker.deliver([one.offset for one in consumed], now)
        self._batcher.add(records, sizes, now)
        self._in_flight.add(len(records), sum(sizes))
        self.consumed += len(records)
        if self._left is not None:
            self._left -= len(records)
        if records:
            self.last_delivery = now
