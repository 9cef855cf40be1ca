"""What the topics say at the start of a term: committed offsets, windows, baselines, alerts."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import msgspec
import structlog
from msgspec import UnsetType

from monitor.detection import SnapshotError, TrackDetector
from monitor.settings import Settings
from monitor.telemetry import log_events
from runtime.kafka.connection import Broker
from runtime.kafka.topic_log import Span, StoredRecord, kafka_topic_log
from schemas.baseline import Baseline, MadeBy
from schemas.reading import json_reader
from schemas.window import Window

_log = structlog.get_logger("monitor")

HISTORY = timedelta(hours=24)
"""What the page shows, and for which reposts are remembered."""

_read_window = json_reader(Window)
_read_baseline = json_reader(Baseline)


class Stored(msgspec.Struct):
    """What a term begins from."""

    baselines: dict[str, Baseline] = {}
    refused: list[str] = []
    """Tracks whose baseline can't be used; their windows are read from the oldest one on."""
    windows: list[Window] = []
    """To be added to the baselines, oldest first; without what only the page needs."""
    made_by: dict[str, MadeBy] = {}
    """What made a track one, where its baseline says so."""
    rules: dict[str, str] = {}
    """The digest of its rule, likewise."""
    since: dict[str, dict[str, int]] = {}
    """By partition of the windows' topic, the offset from which on windows are its own."""
    tracks: dict[str, None] = {}
    """All that have a baseline or a window, in the order of their first."""
    closed_until: int | None = None
    """Unix seconds: the end of the newest window."""
    read_until: dict[int, int] = {}
    """By partition of the events, the highest offset that a window was built from."""
    committed: dict[int, int] = {}
    """By partition of the events, the group's offset."""
    windows_end: dict[int, int] = {}


async def load_windows(
    settings: Settings, broker: Broker, now: float, on_window: Callable[[Window], None]
) -> Stored:
    """Read baselines and windows; each window of the last 24 hours goes to `on_window`, too.

    Raises:
        TopicMissing: a topic isn't there.
        KafkaFault: the brokers don't answer.
    """
    stored = Stored()
    names = settings.monitor
    for key, value in (await read_compacted(names.baselines_topic, broker)).items():
        _take_baseline(stored, key, value)
    latest: dict[tuple[str, datetime], Window] = {}
    async with kafka_topic_log(names.windows_topic, broker) as log:
        spans = await log.spans()
        recent = await log.offsets_at(datetime.fromtimestamp(now, UTC) - HISTORY)
        stored.windows_end = {number: span.end for number, span in spans.items()}
        stored.since = {track: _keep_reached(since, spans) for track, since in stored.since.items()}
        starts = _starts(stored, spans, recent)
        async for record in log.in_order(starts):
            window = _decode(record)
            if window is None:
                continue
            _note(stored, window)
            own = stored.since.get(window.track, {})
            if record.offset < own.get(str(record.partition), 0):
                continue
            if record.offset >= recent[record.partition]:
                on_window(window)
            baseline_ = stored.baselines.get(window.track)
            if baseline_ is None or window.end.timestamp() > baseline_.closed_until:
                latest[window.track, window.start] = window
    if stored.refused:
        _log.warning(log_events.BASELINES_REFUSED, tracks=stored.refused)
    stored.windows = sorted(latest.values(), key=lambda window: (window.start, window.track))
    return stored


async def read_compacted(topic: str, broker: Broker) -> dict[bytes, bytes]:
    """The newest value of each key of a topic; keys with a tombstone are left out."""
    kept: dict[bytes, bytes] = {}
    async with kafka_topic_log(topic, broker) as log:
        async for record in log.in_order(await log.spans()):
            if record.key is None:
                continue
            if record.value is None:
                kept.pop(record.key, None)
            else:
                kept[record.key] = record.value
    return kept


def note_committed(stored: Stored, committed: Mapping[int, tuple[int, str]]) -> None:
    """Add the group's offsets, and how far windows were closed when they were committed.

    Where the windows' topic is empty, made again or by its retention, that is what is left to tell
    where the baselines go on.
    """
    stored.committed = {partition: offset for partition, (offset, _) in committed.items()}
    for _, note in committed.values():
        if note.isdecimal():
            stored.closed_until = max(stored.closed_until or 0, int(note))


def _take_baseline(stored: Stored, key: bytes, value: bytes) -> None:
    try:
        baseline = _read_baseline(value)
        if not isinstance(baseline.by, UnsetType):
            stored.made_by[baseline.track] = baseline.by
        if not isinstance(baseline.rule, UnsetType):
            stored.rules[baseline.track] = baseline.rule
        if not isinstance(baseline.since, UnsetType):
            stored.since[baseline.track] = baseline.since
        if baseline.state:
            TrackDetector.restore(baseline.state)
            stored.baselines[baseline.track] = baseline
    except (msgspec.DecodeError, SnapshotError):
        stored.refused.append(key.decode(errors="replace"))
        return
    stored.tracks.setdefault(baseline.track)


def _starts(
    stored: Stored, spans: Mapping[int, Span], recent: Mapping[int, int]
) -> dict[int, Span]:
    """From the oldest baseline's position on, and 24 hours at least; all where one is missing."""
    if stored.refused or not stored.baselines:
        return dict(spans)
    starts = {}
    for number, span in spans.items():
        oldest = min(one.windows.get(str(number), 0) for one in stored.baselines.values())
        starts[number] = Span(max(span.start, min(oldest, recent[number])), span.end)
    return starts


def _keep_reached(since: Mapping[str, int], spans: Mapping[int, Span]) -> dict[str, int]:
    """Without what lies past a partition's end: the topic was made again, and has nothing older."""
    ends = {str(number): span.end for number, span in spans.items()}
    return {number: first for number, first in since.items() if first <= ends.get(number, 0)}


def _note(stored: Stored, window: Window) -> None:
    stored.tracks.setdefault(window.track)
    end = int(window.end.timestamp())
    stored.closed_until = max(stored.closed_until or end, end)
    for part in window.offsets:
        known = stored.read_until.get(part.partition, part.last)
        stored.read_until[part.partition] = max(known, part.last)


def _decode(record: StoredRecord) -> Window | None:
    try:
        return _read_window(record.value or b"")
    except msgspec.DecodeError:
        return None
