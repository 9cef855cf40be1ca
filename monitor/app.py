"""The whole monitor: standing by, taking over, one term after the other, exit status."""

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from typing import Any

import structlog

from monitor.live.run import TermFailed, run_term
from monitor.registry import read_topics, value_reader, value_writer, written_topics
from monitor.settings import Settings
from monitor.telemetry import log_events
from monitor.telemetry import metrics as m
from monitor.telemetry.health import Health
from runtime.clock import Clock, SystemClock, sleep
from runtime.errors import EXIT_DONE, AccessDenied, Broken, Misconfigured, ServiceError
from runtime.kafka.connection import Broker
from runtime.kafka.errors import Denied, Fenced, KafkaFault, TopicMissing
from runtime.kafka.lease import Lease
from runtime.kafka.options import KafkaOptions
from runtime.kafka.security import client_security
from runtime.registry.values import JSON_VALUES, ValueWriter
from runtime.settings import ConfigError
from runtime.signals import caught_signals
from runtime.telemetry import log_events as shared_events
from runtime.telemetry.health_server import HealthServer
from runtime.telemetry.metric import Counts

_log = structlog.get_logger("monitor")

_HEARTBEATS = 3
"""Of a session timeout: two may be lost. Kafka's own advice."""
_RETRIES = 8
"""Terms that end with an error before any window was written; then the platform starts it again."""
_BACKOFF_S = (0.5, 1.0, 2.0, 5.0, 10.0)
_STOP_S = 8.0
"""For a term's last transaction: with the clients' own ends a stop takes 30 s at most."""


def main(settings: Settings, *, on_ready: Callable[[str], None] | None = None) -> int:
    """Run the monitor on an event loop of its own, to its end; give the exit status."""
    # As in the consumer: what was imported needn't be looked at again; what is new is, each 5,000
    # objects instead of each 700: 14 % of the CPU went there.
    gc.freeze()
    gc.set_threshold(5_000, 10, 10)
    if sys.platform == "win32":
        return asyncio.run(run(settings, on_ready=on_ready))
    import uvloop  # noqa: PLC0415 - there is none for Windows

    return uvloop.run(run(settings, on_ready=on_ready))


def kafka_options(settings: Settings) -> KafkaOptions:
    """How Kafka is reached, and the group whose active member this may become."""
    kafka = settings.kafka
    return KafkaOptions(
        bootstrap=kafka.bootstrap,
        group_id=settings.monitor.group_id,
        security=client_security(kafka),
        client_id=f"{kafka.client_id}-monitor",
        session_timeout_s=kafka.session_timeout_s,
        heartbeat_interval_s=kafka.session_timeout_s / _HEARTBEATS,
        request_timeout_s=kafka.request_timeout_s,
        max_request_bytes=4 * 1024 * 1024,
    )


async def run(
    settings: Settings,
    *,
    signals: bool = True,
    stop: asyncio.Event | None = None,
    on_ready: Callable[[str], None] | None = None,
    clock: Clock | None = None,
) -> int:
    """Run the monitor until it is stopped or fails; set logging up before.

    `on_ready` is called with a line for a person each time this monitor becomes active.

    Returns:
        The exit status: 0 done, 1 broken (start it again), 2 wrong configuration, 3 refused.
    """
    clock = clock or SystemClock()
    stop = stop or asyncio.Event()
    health = Health(stuck_after_s=settings.monitor.http.stuck_after_s, monotonic=clock.monotonic)
    counts = Counts(m.ALL)
    counts.put(m.ACTIVE, value=0)
    server = HealthServer(settings.monitor.http, health, counts)
    try:
        await server.start()
        _log.info(shared_events.HEALTH_LISTENS, url=server.url)
        if not settings.output.include_text:
            _log.warning(log_events.NO_TEXT, setting="output.include_text")

        def end(_: object) -> None:
            _log.info(log_events.STOPPING)
            stop.set()

        with caught_signals(end) if signals else nullcontext():
            keeper = _Watchkeeper(
                settings,
                health=health,
                counts=counts,
                clock=clock,
                stop=stop,
                on_ready=on_ready,
            )
            await keeper.run()
    except ServiceError as error:
        return _failed(error, error.exit_code)
    except (ConfigError, OSError) as error:
        return _failed(error, Misconfigured.exit_code)
    finally:
        await server.stop()
    _log.info(log_events.STOPPED)
    return EXIT_DONE


class _Watchkeeper:
    """Waits for the lease, works while it is held, and waits again."""

    def __init__(
        self,
        settings: Settings,
        *,
        health: Health,
        counts: Counts,
        clock: Clock,
        stop: asyncio.Event,
        on_ready: Callable[[str], None] | None,
    ) -> None:
        self._settings = settings
        self._options = kafka_options(settings)
        self._broker = Broker(
            bootstrap=self._options.bootstrap,
            security=self._options.security,
            values=value_reader(settings.registry, read_topics(settings)),
        )
        self._values: ValueWriter = JSON_VALUES
        self._health = health
        self._counts = counts
        self._clock = clock
        self._stop = stop
        self._on_ready = on_ready

    async def run(self) -> None:
        if not await self._open_values():
            return
        lease = self._lease()
        try:
            await lease.start()
            failures, terms = 0, 0
            while not self._stop.is_set():
                self._health.enter("standing by")
                if not lease.joined.is_set():
                    _log.info(log_events.JOINING, group=self._options.group_id)
                    await _first(lease.joined, self._stop, watched=lease)
                if not lease.held.is_set() and not self._stop.is_set():
                    _log.info(log_events.STANDING_BY, group=self._options.group_id)
                await _first(lease.held, self._stop, watched=lease)
                if self._stop.is_set():
                    return
                terms += 1
                try:
                    failures = await self._term(lease, failures)
                except Fenced:
                    _log.warning(log_events.FENCED, term=terms)
                    self._counts.add(m.FENCED)
                    # The group may not have told yet who holds the lease now: ask again.
                    self._health.enter("standing by")
                    await lease.stop()
                    lease = self._lease()
                    await lease.start()
        except TopicMissing as error:
            raise Misconfigured(f"{error}; make it with: emostream topics create") from error
        except Denied as error:
            raise AccessDenied(str(error)) from error
        except KafkaFault as error:
            raise Broken(str(error)) from error
        finally:
            self._health.enter("stopping")
            await lease.stop()

    async def _open_values(self) -> bool:
        """Wait for the schemas that are written by; give False when told to stop before."""
        settings = self._settings
        opening = asyncio.create_task(value_writer(settings.registry, written_topics(settings)))
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait((opening, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not opening.done():
            opening.cancel()
            await asyncio.wait((opening,))
            return False
        self._values = opening.result()
        return True

    def _lease(self) -> Lease:
        return Lease(self._options, self._settings.monitor.alerts_topic)

    async def _term(self, lease: Lease, failures: int) -> int:
        """Be active until the lease goes, a stop, or an error; give the failures in a row.

        Raises:
            Fenced: another one has become active.
        """
        _log.info(log_events.TAKING_OVER, group=self._options.group_id)
        self._counts.add(m.TERMS)
        end = asyncio.Event()
        watching = asyncio.create_task(_set_when_first(end, lease.lost, self._stop, lease))
        written = self._counts.value(m.WINDOWS)
        try:
            await self._to_its_end(
                run_term(
                    self._settings,
                    self._options,
                    self._broker,
                    health=self._health,
                    counts=self._counts,
                    clock=self._clock,
                    end=end,
                    on_ready=self._on_ready,
                    values=self._values,
                )
            )
        except TermFailed as error:
            failures = 0 if self._counts.value(m.WINDOWS) > written else failures + 1
            _log.warning(log_events.TERM_ENDED, error=type(error.fault).__name__, attempt=failures)
            if failures > _RETRIES or isinstance(error.fault, Denied | TopicMissing):
                raise error.fault from error
            await self._pause(failures)
            return failures
        finally:
            # A standby would go on showing the figures of its last term.
            for metric in m.ALL:
                if metric.kind == "gauge":
                    self._counts.clear(metric)
            self._counts.put(m.ACTIVE, value=0)
            watching.cancel()
        return 0

    async def _to_its_end(self, running: Coroutine[Any, Any, None]) -> None:
        """Wait for a term; once told to stop, not longer than it takes with brokers that answer."""
        term = asyncio.create_task(running)
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((term, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not term.done():
                await asyncio.wait((term,), timeout=_STOP_S)
            if not term.done():
                _log.warning(log_events.STOP_CUT_SHORT, after_s=_STOP_S)
        finally:
            stopping.cancel()
            term.cancel()
            await asyncio.wait((term,))
        if not term.cancelled():
            term.result()

    async def _pause(self, failures: int) -> None:
        """Wait a while, or until told to stop."""
        waiting = asyncio.create_task(self._stop.wait())
        pause = asyncio.create_task(
            sleep(self._clock, _BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)])
        )
        await asyncio.wait((waiting, pause), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        pause.cancel()


async def _first(*events: asyncio.Event, watched: Lease) -> None:
    """Return when one is set; raise when the membership ends."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    ended = asyncio.create_task(watched.ended())
    try:
        done, _ = await asyncio.wait((*waits, ended), return_when=asyncio.FIRST_COMPLETED)
        if ended in done:
            await ended
    finally:
        for one in (*waits, ended):
            one.cancel()


async def _set_when_first(
    end: asyncio.Event, lost: asyncio.Event, stop: asyncio.Event, lease: Lease
) -> None:
    try:
        await _first(lost, stop, watched=lease)
    finally:
        end.set()


def _failed(error: Exception, status: int) -> int:
    _log.error(
        log_events.NOT_STARTED, error=type(error).__name__, reason=str(error), exit_code=status
    )
    return status
