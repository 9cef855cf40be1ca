"""Coming to the state of the monitor that was active before, and warming what is new."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import structlog
from aiokafka import TopicPartition

from monitor.configured import detection, rules
from monitor.events import Reading
from monitor.live.intake import Arrived, read_record
from monitor.live.places import Tombstones
from monitor.live.stored import HISTORY, Stored
from monitor.settings import Settings
from monitor.telemetry import log_events
from monitor.tracks import OTHER, TrackMatcher, TrackRule
from monitor.watch import Watch
from monitor.windows import Entry, Panes, Watermark
from runtime.kafka.connection import Broker
from runtime.kafka.topic_log import Span, kafka_topic_log
from schemas.baseline import Baseline
from schemas.window import Window

_log = structlog.get_logger("monitor")

_REMEMBERED = 1_000_000
"""Records read again at most for reposts, authors' caps and tombstones: some 20 s of work."""


def restore(settings: Settings, watch: Watch, matcher: TrackMatcher, stored: Stored) -> None:
    """Give a new watch what the topics hold of the tracks that are still watched."""
    named = {track.name for track in settings.monitor.tracks}
    watched = [track for track in stored.tracks if not named or track in named]
    if not named:
        matcher.restore(tuple(track for track in watched if track != OTHER))
    if stored.closed_until is None:
        return
    wanted = set(watched)
    watch.restore(
        [one.state for one in stored.baselines.values() if one.track in wanted],
        [window for window in stored.windows if window.track in wanted],
        closed_until=stored.closed_until,
        read_until=stored.read_until,
    )


async def remember(
    settings: Settings,
    broker: Broker,
    watch: Watch,
    stored: Stored,
    tombstones: Tombstones,
) -> int:
    """Let the watch know the posts of closed windows of the last 24 hours; give how many.

    So reposts, and what authors are capped by, are as they were. What is deleted is noted, too.

    Raises:
        KafkaFault: the brokers don't answer.
    """
    until = stored.closed_until
    if until is None:
        return 0
    # A pane dedupes and sorts: what the watch met, in the order in which it met it.
    panes = Panes(lambda _: ("",), texts=settings.output.include_text)
    future_s = settings.monitor.future_s
    clock = Watermark(
        lateness_s=settings.monitor.lateness_s,
        future_s=future_s,
        out_of_order_s=settings.monitor.out_of_order_s,
    )
    count = 0
    async with kafka_topic_log(settings.output.events_topic, broker) as log:
        spans = await log.spans()
        earliest = datetime.fromtimestamp(until, UTC) - HISTORY
        since = await log.offsets_at(earliest)
        asked = _bounded(_up_to(stored, spans, since))
        for number in asked:
            clock.assign(number)
        reader = log.reader(
            {number: span.start for number, span in asked.items()},
            lambda record: read_record(record, future_s=future_s),
        )
        while any(at < asked[tp.partition].end for tp, at in reader.positions.items()):
            for one in await reader.take(timeout_s=0.5):
                if one.offset >= asked[one.partition].end:
                    continue
                count += _put(panes, clock, one, tombstones, until)
            _rest(clock, reader.positions, asked)
            reached = clock.advance()
            if reached > 0:  # minus infinity until each partition had an event
                for pane in panes.close(min(reached, until)):
                    watch.remember(_events(pane.tracks[""].entries))
        for pane in panes.close(until):
            watch.remember(_events(pane.tracks[""].entries))
    _log.info(log_events.REMEMBERED, events=count)
    return count


def _put(
    panes: Panes, clock: Watermark, one: Arrived, tombstones: Tombstones, until: float
) -> bool:
    if one.event is None:
        if one.tombstone and one.key is not None:
            tombstones.bury(one.partition, one.offset, one.key)
        return False
    time = one.event.created_at.timestamp()
    if time < 0 or not clock.observe(one.partition, time, one.at) or time >= until:
        return False
    panes.add(panes.entry(one.event, one.partition, one.offset, time), clock.value)
    return True


def _events(entries: Iterable[Entry]) -> Iterator[tuple[Reading, int, int]]:
    for entry in entries:
        yield entry.event, entry.partition, entry.offset


def _bounded(spans: Mapping[int, Span]) -> dict[int, Span]:
    """The newest records of these, not more than can be read while a standby takes over."""
    total = sum(span.end - span.start for span in spans.values())
    if total <= _REMEMBERED:
        return dict(spans)
    return {
        number: Span(span.end - (span.end - span.start) * _REMEMBERED // total, span.end)
        for number, span in spans.items()
    }


def new_tracks(settings: Settings, stored: Stored) -> tuple[TrackRule, ...]:
    """Named tracks of which nothing is stored, while others were watched before.

    A track that was warmed and had no posts has an empty baseline: it isn't warmed each time.
    """
    if stored.closed_until is None:
        return ()
    return tuple(rule for rule in rules(settings) if rule.name not in stored.tracks)


async def warm(
    settings: Settings, broker: Broker, stored: Stored, new: tuple[TrackRule, ...]
) -> list[Window]:
    """Warm new tracks from the events kept, up to where the others are; give their windows.

    Those of the last 24 hours: they are written at once, and two weeks of a track take 100 MB. The
    baselines are added to `stored`. Nothing is raised of the past.

    Raises:
        KafkaFault: the brokers don't answer.
    """
    until = stored.closed_until
    assert until is not None
    texts, future_s = settings.output.include_text, settings.monitor.future_s
    past = Watch(
        TrackMatcher(new),
        detection(settings),
        texts=texts,
        live=False,
        future_s=future_s,
        out_of_order_s=settings.monitor.out_of_order_s,
    )
    windows: list[Window] = []
    earliest = datetime.fromtimestamp(until, UTC) - HISTORY
    count = 0
    async with kafka_topic_log(settings.output.events_topic, broker) as log:
        spans = await log.spans()
        days = timedelta(days=settings.monitor.warm_days)
        since = await log.offsets_at(datetime.fromtimestamp(until, UTC) - days)
        asked = _up_to(stored, spans, since)
        reader = log.reader(
            {number: span.start for number, span in asked.items()},
            lambda record: read_record(record, future_s=future_s),
        )
        for number in asked:
            past.watermark.assign(number)
        while any(at < asked[tp.partition].end for tp, at in reader.positions.items()):
            for one in await reader.take(timeout_s=0.5):
                event = one.event
                if event is None or one.offset >= asked[one.partition].end:
                    continue
                if event.created_at.timestamp() < until:
                    past.feed(event, one.partition, one.offset, one.at)
                    count += 1
            _rest(past.watermark, reader.positions, asked)
            windows += [one for one in past.advance().windows if one.start >= earliest]
    last = past.advance(at_least=until + settings.monitor.lateness_s).windows
    windows += [one for one in last if one.start >= earliest]
    now = datetime.fromtimestamp(until, UTC)
    for track, state in past.snapshots().items():
        stored.tracks.setdefault(track)
        stored.baselines[track] = Baseline(
            version=1, track=track, at=now, closed_until=until, windows={}, state=state
        )
    _log.info(log_events.TRACKS_WARMED, tracks=[rule.name for rule in new], events=count)
    return windows


def _up_to(stored: Stored, spans: Mapping[int, Span], since: Mapping[int, int]) -> dict[int, Span]:
    """From these offsets up to the last of which a closed window may have been built."""
    asked = {}
    for number, span in spans.items():
        read = max(stored.read_until.get(number, -1) + 1, stored.committed.get(number, 0))
        end = min(read, span.end)
        start = max(span.start, since[number])
        asked[number] = Span(start, end) if start < end else Span(span.end, span.end)
    return asked


def _rest(
    clock: Watermark, positions: Mapping[TopicPartition, int], asked: Mapping[int, Span]
) -> None:
    """What was read as far as it was asked for holds the others up no longer."""
    for tp, at in positions.items():
        if at >= asked[tp.partition].end:
            clock.idle(tp.partition)
