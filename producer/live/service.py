"""The service: sources into Kafka until it is stopped, beginning again after a fault of Kafka.

A fault and a crash take the same way: the topic's end is read, and each source goes on from its
watermark there. So nothing that Kafka didn't acknowledge is taken for sent.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog

from producer.live import log_events
from producer.live import metrics as m
from producer.live.backoff import Backoff
from producer.live.health import Health
from producer.live.mark import Mark
from producer.live.meter import Meter
from producer.live.outlet import KafkaOutlet, Opened, Outlet
from producer.live.publisher import Publisher
from producer.live.source import Source, SourceFailed, SourceRefused, SourceWatcher
from runtime.background import BackgroundTasks, unended
from runtime.clock import Clock, SystemClock, sleep
from runtime.errors import (
    EXIT_BROKEN,
    EXIT_DONE,
    EXIT_HALTED,
    EXIT_MISCONFIGURED,
    QuotableError,
)
from runtime.kafka.connection import Broker
from runtime.kafka.errors import Denied, KafkaFault, RecordRefused, TopicMissing
from runtime.kafka.producing import BoundedProducer, Delivery
from runtime.settings.telemetry import Http
from runtime.telemetry import log_events as shared_events
from runtime.telemetry.health_server import HealthServer

_log = structlog.get_logger("live")

_PROGRESS_S = 60.0
_DRAIN_S = 10.0
"""For what is in flight at the end: a broker takes milliseconds, platforms kill after 30 s."""
_STEADY_S = 60.0
"""A session that lasted this long was no failure in a row."""
_AGAIN_S = 300.0
"""After a source that never worked since the start has failed, beside others: its server may have
been down for just that moment, and the next start may be months away."""
_FINAL = (Denied, TopicMissing, RecordRefused)
"""Faults of Kafka that only a human ends."""

MakeSources = Callable[[SourceWatcher], Sequence[Source]]
"""Makes the sources of a run, which tell the watcher how they go."""


@dataclass(frozen=True, kw_only=True)
class LiveSettings:
    """Where to, and how much."""

    topic: str = "posts"
    limit: int | None = None
    """Stop after so many records were written."""
    seconds: float | None = None
    """Stop after so long."""
    remember: int = 100_000
    """Posts that are known again: replays of them are left out, deletions of them passed on."""
    http: Http = field(default_factory=Http)
    delivery: Delivery = field(default_factory=Delivery)


class LiveReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended."""

    posts: int
    """Posts that Kafka acknowledged."""
    edits: int
    """New versions of posts sent before."""
    deletes: int
    """Tombstones."""
    skipped: dict[str, int]
    """Items passed over, by reason."""
    disconnects: int
    unacknowledged: int
    """Records in flight at the end: the next start sends them again."""
    seconds: float
    failure: str | None = None
    """Why it ended; None where it was asked to, or did all that it should."""
    exit_code: int = EXIT_DONE

    @property
    def written(self) -> int:
        """All records that Kafka acknowledged."""
        return self.posts + self.edits + self.deletes


async def run_live(
    make_sources: MakeSources,
    settings: LiveSettings,
    broker: Broker,
    *,
    names: Sequence[str],
    stop: asyncio.Event,
    on_start: Callable[[Meter], None] = lambda _: None,
    on_ack: Callable[[str], None] | None = None,
    clock: Clock | None = None,
    rng: random.Random | None = None,
    outlet: Outlet | None = None,
) -> LiveReport:
    """Publish what the sources give until `stop` is set, a limit is reached, or none is left.

    `names` are the sources' names. `on_start` is handed what counts, `on_ack` the id of each post
    that Kafka acknowledged. `outlet` takes Kafka's place (for tests). What goes wrong at the start
    or only a human can change is the report's `failure`; everything else is waited out.

    Raises:
        Misconfigured: health and metrics can't be served at `settings.http`.
    """
    clock = clock or SystemClock()
    meter = Meter(list(names), clock)
    service = _Service(
        settings,
        sources=make_sources(meter),
        outlet=outlet
        or KafkaOutlet(
            broker,
            settings.topic,
            delivery=settings.delivery,
            remember=settings.remember,
        ),
        meter=meter,
        stop=stop,
        clock=clock,
        rng=rng or random.Random(),  # noqa: S311 - spreads clients, guards nothing
        on_ack=on_ack,
    )
    on_start(meter)
    server = HealthServer(
        settings.http, service.health, meter.counts, warnings=service.health.warnings
    )
    await server.start()
    try:
        _log.info(shared_events.HEALTH_LISTENS, url=server.url)
        return await service.run()
    finally:
        await server.stop()


class _Service:
    def __init__(
        self,
        settings: LiveSettings,
        *,
        sources: Sequence[Source],
        outlet: Outlet,
        meter: Meter,
        stop: asyncio.Event,
        clock: Clock,
        rng: random.Random,
        on_ack: Callable[[str], None] | None,
    ) -> None:
        self._settings = settings
        self._sources = list(sources)
        self._outlet = outlet
        self._meter = meter
        self._stop = stop
        self._clock = clock
        self._backoff = Backoff(clock, rng, first_s=1.0)
        self._on_ack = on_ack
        self._begun = clock.monotonic()
        self._unacknowledged = 0
        self._started = False
        self._away: set[str] = set()
        """Sources that have failed and wait to be tried again."""
        self._failure: BaseException | None = None
        """Of a background task."""
        self.health = Health(meter, [source.name for source in sources])

    async def run(self) -> LiveReport:
        background = BackgroundTasks(self._fail)
        background.start("progress", self._tell_now_and_then())
        if self._settings.seconds is not None:
            background.start("end", self._stop_after(self._settings.seconds), may_end=True)
        try:
            await self._sessions()
            if self._failure is not None:
                raise self._failure
        except QuotableError as error:
            code = _exit_code(error)
            _log.error(
                log_events.FAILED, error=type(error).__name__, reason=str(error), exit_code=code
            )
            return self._report(str(error), code)
        finally:
            await background.cancel()
        _log.info(log_events.STOPPED)
        if self._unacknowledged:
            failure = f"{self._unacknowledged} records were not acknowledged by Kafka in time"
            return self._report(f"{failure}; the next start sends them again", EXIT_BROKEN)
        return self._report(None, EXIT_DONE)

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self._stop.set()

    async def _sessions(self) -> None:
        while not self._stop.is_set():
            begun = self._clock.monotonic()
            try:
                await self._session()
            except KafkaFault as error:
                if isinstance(error, _FINAL) or not self._started:
                    raise
                self.health.kafka = False
                self._meter.counts.add(m.RESTARTS)
                _log.warning(
                    log_events.DELIVERY_FAILED, error=type(error).__name__, reason=str(error)
                )
                if self._clock.monotonic() - begun > _STEADY_S:
                    self._backoff.over()
                await _unless(self._stop, self._backoff.pause())
            else:
                return

    async def _session(self) -> None:
        """Publish until told to stop, or until there is no source left.

        Raises:
            KafkaFault: a record was not delivered, or Kafka can't be reached.
            SourceFailed, SourceRefused: no source is left.
        """
        names = [source.name for source in self._sources]
        async with AsyncExitStack() as stack:
            opened = await self._open(stack, names)
            if opened is None:
                return
            self._started = self.health.kafka = True
            sends = BoundedProducer(opened.producer, self._settings.delivery)
            now = int(self._clock.wall() * 1e6)
            starts = {name: self._start_of(name, opened, now) for name in names}
            publisher = Publisher(
                sends,
                self._settings.topic,
                sent=opened.resume.sent,
                marks={name: Mark(start) for name, start in starts.items()},
                meter=self._meter,
                on_ack=self._acknowledged,
            )
            _log.info(log_events.STARTED, sources=sorted(names), topic=self._settings.topic)
            try:
                await self._pump(publisher, starts)
                if self._stop.is_set():
                    _log.info(log_events.STOPPING)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_DRAIN_S):
                        await sends.drain()
            finally:
                self._unacknowledged = sends.in_flight + sends.failed
            if publisher.broken.done():
                raise publisher.broken.result()

    async def _open(self, stack: AsyncExitStack, names: Collection[str]) -> Opened | None:
        """Open Kafka, or give None where a stop comes before: brokers may take long to answer."""
        opening = asyncio.create_task(stack.enter_async_context(self._outlet.open(names)))
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((opening, stopping), return_when=asyncio.FIRST_COMPLETED)
            if opening.done():
                return opening.result()
            _log.info(log_events.STOPPING)
            return None
        finally:
            opening.cancel()
            stopping.cancel()
            await asyncio.gather(opening, stopping, return_exceptions=True)

    def _start_of(self, name: str, opened: Opened, now: int) -> int:
        found = opened.resume.watermarks.get(name)
        if found is None:
            return now
        _log.info(
            log_events.RESUMED,
            source=name,
            behind_s=round((now - found) / 1e6, 1),
            remembered=len(opened.resume.sent),
        )
        # A position in the future, as a source with a wrong clock gives it, would skip all until
        # then.
        return min(found, now)

    async def _pump(self, publisher: Publisher, starts: dict[str, int]) -> None:
        async def pump(source: Source, *, after_s: float = 0.0) -> None:
            if after_s:
                await sleep(self._clock, after_s)
                self._away.discard(source.name)
            pumping = self._pump_one(publisher, source, starts[source.name])
            await unended(source.name, pumping, may_end=True)

        self._away.clear()
        pumps = {asyncio.create_task(pump(source)): source for source in self._sources}
        stopping = asyncio.create_task(self._stop.wait())
        try:
            while pumps:
                waits: list[asyncio.Future[Any]] = [*pumps, stopping, publisher.broken]
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                if stopping.done() or publisher.broken.done():
                    return
                for task in [task for task in pumps if task.done()]:
                    source = pumps.pop(task)
                    if self._goes_on(source, task.exception(), beside=pumps.values()):
                        pumps[asyncio.create_task(pump(source, after_s=_AGAIN_S))] = source
        finally:
            stopping.cancel()
            for task in pumps:
                task.cancel()
            await asyncio.gather(*pumps, stopping, return_exceptions=True)
            for source in self._sources:
                self._meter.left(source.name)

    def _goes_on(
        self, source: Source, error: BaseException | None, *, beside: Iterable[Source]
    ) -> bool:
        """Whether a source that ended is tried again: one that has failed, beside one that hasn't.

        Raises:
            BaseException: its error, where no other source is left that works, or it is a bug.
        """
        if error is not None:
            foreseen = isinstance(error, SourceFailed | SourceRefused)
            if not foreseen or all(other.name in self._away for other in beside):
                raise error
        if isinstance(error, SourceFailed):
            self._away.add(source.name)
            _log.warning(
                log_events.SOURCE_FAILED,
                source=source.name,
                reason=str(error),
                again_s=round(_AGAIN_S),
            )
            return True
        self._sources.remove(source)
        _log.warning(log_events.SOURCE_ENDED, source=source.name, reason=str(error or "its end"))
        return False

    async def _pump_one(self, publisher: Publisher, source: Source, since: int) -> None:
        async with aclosing(source.items(since)) as items:
            async for item in items:
                await publisher.publish(source.name, item)

    def _acknowledged(self, key: str) -> None:
        if self._on_ack is not None:
            self._on_ack(key)
        if self._settings.limit is not None and self._written() >= self._settings.limit:
            self._stop.set()

    def _written(self) -> int:
        return sum(self._meter.written.values())

    async def _tell_now_and_then(self) -> None:
        before = self._written()
        while True:
            await sleep(self._clock, _PROGRESS_S)
            written = self._written()
            _log.info(
                log_events.PROGRESS,
                records=written,
                posts_per_s=round((written - before) / _PROGRESS_S, 1),
                lag_s=None if self._meter.lag_s is None else round(self._meter.lag_s, 1),
                skipped=dict(self._meter.skipped),
                disconnects=self._meter.disconnects,
            )
            before = written

    async def _stop_after(self, seconds: float) -> None:
        await sleep(self._clock, seconds)
        self._stop.set()

    def _report(self, failure: str | None, exit_code: int) -> LiveReport:
        written = self._meter.written
        return LiveReport(
            posts=written["post"],
            edits=written["edit"],
            deletes=written["delete"],
            skipped=dict(sorted(self._meter.skipped.items())),
            disconnects=self._meter.disconnects,
            unacknowledged=self._unacknowledged,
            seconds=self._clock.monotonic() - self._begun,
            failure=failure,
            exit_code=exit_code,
        )


async def _unless(stop: asyncio.Event, pause: Coroutine[Any, Any, None]) -> None:
    """Wait for a pause, but not after a stop."""
    waiting = asyncio.create_task(pause)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((waiting, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        stopping.cancel()


def _exit_code(error: QuotableError) -> int:
    code = getattr(error, "exit_code", None)
    if isinstance(error, TopicMissing | RecordRefused):
        return EXIT_MISCONFIGURED
    if isinstance(error, Denied):
        return EXIT_HALTED
    return EXIT_BROKEN if code is None else int(code)
