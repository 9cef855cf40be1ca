"""A term from its parts: fence, read back, go on, and the page beside it."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import structlog
from aiokafka.errors import KafkaError

from monitor.configured import make_matcher, make_watch
from monitor.live.board import Board
from monitor.live.control import Control
from monitor.live.gauges import TrackGauges
from monitor.live.intake import Intake
from monitor.live.journal import Journal
from monitor.live.lookup import Lookup
from monitor.live.pipe import PipeWatch
from monitor.live.places import Places, Tombstones
from monitor.live.restoring import new_tracks, remember, restore, warm
from monitor.live.stored import Stored, load_windows, note_committed
from monitor.live.telling import Telling
from monitor.live.term import Term
from monitor.live.unwatched import drop_unwatched, ends_of, made_by, with_baseline
from monitor.page.server import PageServer
from monitor.page.settings import PageError, PageSettings
from monitor.settings import Page, Settings
from monitor.telemetry import log_events
from monitor.telemetry import metrics as m
from monitor.telemetry.health import Health
from monitor.watch import Watch
from runtime.background import unended
from runtime.clock import Clock
from runtime.errors import Misconfigured
from runtime.kafka.connection import Broker
from runtime.kafka.errors import DeliveryStalled, Fenced, KafkaFault
from runtime.kafka.faults import read_fault
from runtime.kafka.options import KafkaOptions
from runtime.kafka.producing import BoundedProducer, Outgoing, kafka_producer
from runtime.kafka.topic_log import KafkaTopicLog, kafka_topic_log
from runtime.registry.values import JSON_VALUES, ValueWriter
from runtime.telemetry.metric import Counts
from schemas.alert import Alert

_log = structlog.get_logger("monitor")


class TermFailed(Exception):  # noqa: N818 - what happened, not an error's kind
    """Kafka gave an error: begin again from what the topics say."""

    def __init__(self, fault: KafkaFault) -> None:
        super().__init__(str(fault))
        self.fault = fault


async def run_term(
    settings: Settings,
    options: KafkaOptions,
    broker: Broker,
    *,
    health: Health,
    counts: Counts,
    clock: Clock,
    end: asyncio.Event,
    on_ready: Callable[[str], None] | None,
    values: ValueWriter = JSON_VALUES,
) -> None:
    """Be the active monitor until `end` is set.

    Raises:
        Fenced: another one has become active.
        TermFailed: Kafka gave an error.
        Misconfigured: the page can't be served like this, or a track can't be used.
    """
    health.enter("reading back")
    try:
        async with AsyncExitStack() as stack:
            await _run(
                stack,
                settings,
                options,
                broker,
                health=health,
                counts=counts,
                clock=clock,
                end=end,
                on_ready=on_ready,
                values=values,
            )
    except (KafkaFault, KafkaError, ExceptionGroup) as error:
        fault = _fault(error)
        if fault is None:
            raise
        if isinstance(fault, Fenced):
            raise fault from None
        raise TermFailed(fault) from error


def _fault(error: Exception) -> KafkaFault | None:
    """What Kafka's part in an error means, fencing first; None where there is another part."""
    if not isinstance(error, ExceptionGroup):
        return read_fault(error) if isinstance(error, KafkaFault | KafkaError) else None
    faults = [_fault(one) for one in error.exceptions]
    known = [fault for fault in faults if fault is not None]
    if len(known) < len(faults):
        return None
    return next((fault for fault in known if isinstance(fault, Fenced)), known[0])


async def _run(
    stack: AsyncExitStack,
    settings: Settings,
    options: KafkaOptions,
    broker: Broker,
    *,
    health: Health,
    counts: Counts,
    clock: Clock,
    end: asyncio.Event,
    on_ready: Callable[[str], None] | None,
    values: ValueWriter,
) -> None:
    try:
        matcher = make_matcher(settings)
    except ValueError as error:
        raise Misconfigured(f"monitor.tracks: {error}") from None
    journal = Journal(options, settings, values)
    stack.push_async_callback(journal.stop)
    await journal.start()  # from here on nobody else writes: what the topics say stays true

    places, tombstones = Places(), Tombstones()
    writer = BoundedProducer(await stack.enter_async_context(kafka_producer(broker)))
    board = Board(
        settings,
        places=places,
        lookup=Lookup(broker, settings.output.events_topic, places, tombstones, matcher.known),
        write=lambda record: _write(writer, record),
        wall=clock.wall,
        configured=[track.name for track in settings.monitor.tracks],
        values=values,
    )
    control = Control(settings, broker, board)
    await control.load()
    stored = await load_windows(settings, broker, clock.wall(), board.restore_window)
    journal.windows_end = dict(stored.windows_end)
    log = await stack.enter_async_context(
        kafka_topic_log(settings.output.events_topic, broker, group=options.group_id)
    )
    note_committed(stored, await log.committed())
    left = _leave_unwatched(settings, stored, board)
    journal.since = {
        track: stored.since.get(track, {})
        for track in {*stored.tracks, *stored.refused}.difference(left)
    }
    new = new_tracks(settings, stored)
    warmed = await warm(settings, broker, stored, new) if new else []
    watch = make_watch(settings, matcher)
    restore(settings, watch, matcher, stored)
    board.detectors = watch.detectors
    await remember(settings, broker, watch, stored, tombstones)

    starts = await first_offsets(settings.monitor.warm_days, log, counts=counts, clock=clock)
    for partition in starts:
        watch.watermark.assign(partition)
    intake = Intake(
        log,
        starts,
        idle_after_s=settings.monitor.idle_after_s,
        future_s=settings.monitor.future_s,
        monotonic=clock.monotonic,
    )
    telling = Telling(settings, options, board, clock, counts, values=broker.values)
    gauges = TrackGauges(board, matcher, counts)
    pipe = PipeWatch(
        settings,
        broker,
        board=board,
        counts=counts,
        clock=clock,
        telling=telling,
        intake=intake,
        gauges=gauges,
        health=health,
        log=log,
    )
    term = Term(
        settings,
        watch=watch,
        matcher=matcher,
        gauges=gauges,
        intake=intake,
        journal=journal,
        board=board,
        tombstones=tombstones,
        counts=counts,
        clock=clock,
        beat=health.beat,
        quiet_since=pipe.quiet_since,
    )
    term.leave(left, _ends(settings, stored, board, watch))
    term.adopt([rule.name for rule in new], warmed)
    page_server = await _page(stack, settings, board, clock)
    page = page_server.url if page_server is not None else None
    await telling.start(stack, page or "")
    health.enter("active")
    counts.put(m.ACTIVE, value=1)
    _log.info(
        log_events.ACTIVE,
        tracks=len(watch.detectors),
        windows=len(stored.windows),
        open_alerts=board.open_alerts,
        offsets=[starts[number] for number in sorted(starts)],
    )
    if on_ready is not None:
        where = f", page at {page}" if page else ""
        on_ready(f"emostream monitor is active: group {options.group_id}{where}")
    async with asyncio.TaskGroup() as tasks:
        beside = [
            tasks.create_task(unended("following alerts", control.follow_alerts())),
            tasks.create_task(unended("following mutes", control.follow_mutes())),
            tasks.create_task(unended("telling of alerts", telling.run(), may_end=True)),
            tasks.create_task(unended("looking at the brokers", pipe.run(term), may_end=True)),
        ]
        if page_server is not None:
            changes = unended("the page's changes", page_server.watch())
            beside.insert(0, tasks.create_task(changes))
        # More partitions: the term ends, and the next one reads them, too.
        beside[-1].add_done_callback(lambda _: end.set())
        await term.run(end)
        for one in beside:
            one.cancel()


def _leave_unwatched(settings: Settings, stored: Stored, board: Board) -> list[str]:
    """Forget tracks that are watched no longer; give those whose baselines are to be deleted."""
    recorded = with_baseline(stored)
    dropped = drop_unwatched(settings, stored)
    baselines = [track for track in dropped if track in recorded]
    if baselines:
        _log.warning(log_events.TRACKS_DROPPED, tracks=len(baselines), by=made_by(settings))
    for track in dropped:
        board.forget(track)
    return baselines


def _ends(settings: Settings, stored: Stored, board: Board, watch: Watch) -> list[Alert]:
    """The ends of open alerts that no detector follows any more."""
    if stored.closed_until is None:  # all is read again, and may open them again
        return []
    return ends_of(
        board.alerts_kept.open(),
        watched=[track.name for track in settings.monitor.tracks]
        or [*stored.tracks, *stored.refused],
        followed=[name for name, one in watch.detectors.items() if one.alert_state is not None],
        closed_until=stored.closed_until,
    )


async def first_offsets(
    warm_days: int, log: KafkaTopicLog, *, counts: Counts, clock: Clock
) -> dict[int, int]:
    """Where to begin: the committed offsets, as far as what they name is still there.

    Where nothing is committed, `warm_days` back. What was lost is logged and counted.
    """
    committed = await log.committed()
    oldest = datetime.fromtimestamp(clock.wall(), UTC) - timedelta(days=warm_days)
    first = await log.offsets_at(oldest)
    held = await log.held()
    starts: dict[int, int] = {}
    for partition, span in held.items():
        at, _ = committed.get(partition, (None, ""))
        if at is None:
            starts[partition] = max(span.start, min(first[partition], span.end))
        elif at < span.start:
            lost = span.start - at
            counts.add(m.LOST, by=lost)
            _log.error(log_events.OFFSETS_GONE, partition=partition, events=lost)
            starts[partition] = span.start
        elif at > span.end:
            _log.error(log_events.OFFSETS_AHEAD, partition=partition, committed=at, end=span.end)
            starts[partition] = span.start
        else:
            starts[partition] = at
    return starts


async def _write(writer: BoundedProducer, record: Outgoing) -> None:
    failed = writer.failed
    await writer.send(record)
    await writer.drain()
    if writer.failed > failed:
        raise DeliveryStalled(f"topic {record.topic} refused the record")


async def _page(
    stack: AsyncExitStack, settings: Settings, board: Board, clock: Clock
) -> PageServer | None:
    page = settings.monitor.page
    if not page.enabled:
        return None
    try:
        server = PageServer(_page_settings(page), board, wall=clock.wall)
        await server.start()
    except PageError as error:
        _log.error(log_events.PAGE_UNAVAILABLE, reason=str(error))
        raise Misconfigured(str(error)) from None
    stack.push_async_callback(server.stop)
    return server


def _page_settings(page: Page) -> PageSettings:
    return PageSettings(
        host=page.host,
        port=page.port,
        token=page.token.get_secret_value() or None,
        user_header=page.user_header or None,
        trusted_proxies=page.trusted_proxies,
        actions=page.actions,
        allowed_hosts=page.allowed_hosts,
        max_connections=page.max_connections,
        max_viewers=page.max_viewers,
    )
