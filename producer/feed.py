"""From a source of records to a report: the one loop under replay, load and tweets."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Literal, TypeAlias

from producer.errors import ProducerError
from producer.pacer import Pacer
from producer.report import BadLine, BadLineObserver, Observer, Progress, Report
from runtime.clock import Clock, SystemClock
from runtime.kafka.errors import DeliveryStalled, KafkaFault
from runtime.kafka.producing import BoundedProducer, Outgoing

Source: TypeAlias = AsyncIterator[Outgoing | BadLine]

OnBadLine: TypeAlias = Literal["skip", "fail"]

_OBSERVE_EVERY_S = 0.1
_BAD_SAMPLES = 20
"""Bad lines kept for the report; all of them are counted and told to the observer."""


class Feed:
    """One run: takes records from a source, paces them, sends them, counts."""

    def __init__(
        self,
        sends: BoundedProducer,
        *,
        rate: float | None = None,
        limit: int | None = None,
        duration_s: float | None = None,
        on_bad_line: OnBadLine = "skip",
        observer: Observer | None = None,
        bad_line_observer: BadLineObserver | None = None,
        fraction: Callable[[], float | None] | None = None,
        stop: asyncio.Event | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Prepare a run of at most `limit` records and `duration_s` seconds.

        `fraction` tells how much of the source has been taken, 0 to 1; setting `stop` ends the
        run in good order: what is in flight is waited for.
        """
        self._sends = sends
        self._clock = clock or SystemClock()
        self._pacer = Pacer(rate, self._clock)
        self._limit = limit
        self._duration_s = duration_s
        self._on_bad_line = on_bad_line
        self._observer = observer
        self._bad_line_observer = bad_line_observer
        self._fraction = fraction
        self._stop = stop or asyncio.Event()
        self._started = self._observed = self._clock.monotonic()
        self._sent = 0
        self._bad_lines = 0
        self._bad_samples: list[BadLine] = []
        self._kinds: Counter[str] = Counter()

    async def run(self, source: Source) -> Report:
        """Send all of the source. What goes wrong on the way is the report's `failure`."""
        self._started = self._observed = self._clock.monotonic()
        failure = None
        try:
            try:
                failure = await self._send_all(source)
            except DeliveryStalled:
                raise
            except (
                ProducerError,
                KafkaFault,
            ) as error:  # the source broke off; what was taken still goes out
                failure = str(error)
            await self._sends.drain()
        except DeliveryStalled as error:
            failure = failure or str(error)
        self._observe(at_end=True)
        sends = self._sends
        return Report(
            sent=self._sent,
            acked=sends.acked,
            failed=sends.failed + sends.in_flight,
            bad_lines=self._bad_lines,
            bad_samples=tuple(self._bad_samples),
            errors=dict(sends.errors),
            kinds=dict(self._kinds),
            seconds=self._seconds(),
            failure=failure,
        )

    async def _send_all(self, source: Source) -> str | None:
        """Send until there is no more; the reason for ending early, if it is a failure."""
        if self._over():
            return None
        async for item in source:
            if isinstance(item, BadLine):
                self._count_bad(item)
                if self._on_bad_line == "fail":
                    return f"line {item.line}: {item.reason}"
                continue
            await self._pacer.wait(self._stop)
            if self._over():
                return None
            self._sent += 1
            await self._sends.send(item)
            if item.kind is not None:
                self._kinds[item.kind] += 1
            self._observe()
            if self._over():  # asked here too, so that nothing is read that won't be sent
                return None
        return None

    def _over(self) -> bool:
        return (
            self._stop.is_set()
            or (self._limit is not None and self._sent >= self._limit)
            or (self._duration_s is not None and self._seconds() >= self._duration_s)
        )

    def _count_bad(self, bad: BadLine) -> None:
        self._bad_lines += 1
        if len(self._bad_samples) < _BAD_SAMPLES:
            self._bad_samples.append(bad)
        if self._bad_line_observer:
            self._bad_line_observer(bad)
        self._observe()

    def _seconds(self) -> float:
        return self._clock.monotonic() - self._started

    def _observe(self, *, at_end: bool = False) -> None:
        if not self._observer:
            return
        now = self._clock.monotonic()
        if now - self._observed < _OBSERVE_EVERY_S and not at_end:
            return
        self._observed = now
        self._observer(
            Progress(
                sent=self._sent,
                acked=self._sends.acked,
                failed=self._sends.failed,
                in_flight=self._sends.in_flight,
                bad_lines=self._bad_lines,
                seconds=self._seconds(),
                fraction=self._done(),
            )
        )

    def _done(self) -> float | None:
        """The largest of the shares that are known: the one that will end the run."""
        shares = [
            self._sent / self._limit if self._limit else None,
            self._seconds() / self._duration_s if self._duration_s else None,
            self._fraction() if self._fraction else None,
        ]
        known = [share for share in shares if share is not None]
        return min(max(known), 1.0) if known else None
