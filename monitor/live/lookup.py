"""Posts behind a moment, read back from the events' topic: a bounded number, by few at once."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from monitor.events import Reading, reading_of
from monitor.live.places import Places, Tombstones, cut, records_in
from monitor.page.data import Posts, UnavailableError
from monitor.windows.valence import NEGATIVE_BELOW
from runtime.kafka.connection import Broker
from runtime.kafka.errors import KafkaFault
from runtime.kafka.topic_log import Span, StoredRecord, kafka_topic_log
from schemas.event import AffectEvent
from schemas.reading import NO_MESSAGE

_AT_ONCE = 4
_MOST_RECORDS = 200_000
"""Read for one look-up: some 3 s. What is beyond is told, not read."""
_MOST_PLACES = 2_000
"""Kept to be sorted by time; the page asks for fewer."""

_EVENT = msgspec.json.Decoder(AffectEvent)


class Lookup:
    """Reads events back by where their windows say that they stand."""

    def __init__(
        self,
        broker: Broker,
        topic: str,
        places: Places,
        tombstones: Tombstones,
        match: Callable[[Reading], tuple[str, ...]],
    ) -> None:
        self._broker = broker
        self._topic = topic
        self._places = places
        self._tombstones = tombstones
        self._match = match
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def posts(
        self, track: str, start: datetime, end: datetime, *, limit: int, negative: bool
    ) -> Posts:
        """The track's posts of this time, oldest first; see `PageData.posts`.

        Raises:
            UnavailableError: they can't be read now.
        """
        first, last = start.timestamp(), end.timestamp()

        def wanted(event: AffectEvent) -> bool:
            if not first <= event.created_at.timestamp() < last:
                return False
            return not (negative and not _is_negative(event)) and track in self._match(
                reading_of(event)
            )

        return await self._read(self._places.spans(first, last), wanted, limit)

    async def by_id(self, ids: tuple[str, ...], start: datetime, end: datetime) -> Posts:
        """The events with these ids, looked for around this time.

        Raises:
            UnavailableError: they can't be read now.
        """
        spans = self._places.spans(start.timestamp() - 60, end.timestamp())
        if not spans:
            spans = await self._spans_by_record_time(start, end)
        chosen = set(ids)
        found = await self._read(spans, lambda event: event.id in chosen, len(chosen))
        missing = len(chosen) - len(found.events)
        if missing and not found.note:
            return msgspec.structs.replace(found, note=f"{missing} are deleted or have expired")
        return found

    async def _read(
        self, spans: Mapping[int, Span], wanted: Callable[[AffectEvent], bool], limit: int
    ) -> Posts:
        kept: dict[tuple[str | None, str], tuple[AffectEvent, int, bytes | None]] = {}
        total = 0
        bounded = cut(spans, _MOST_RECORDS)
        try:
            async with self._turn, kafka_topic_log(self._topic, self._broker) as log:
                held = await log.spans()
                asked = {
                    number: Span(max(span.start, held[number].start), span.end)
                    for number, span in bounded.items()
                    if number in held and span.end > held[number].start
                }
                async for record in log.read(asked):
                    event = self._event(record)
                    if event is None or not wanted(event):
                        continue
                    post = event.source, event.post_id
                    if post in kept:
                        continue
                    total += 1
                    if len(kept) < max(limit, _MOST_PLACES):
                        kept[post] = event, record.partition, record.key
        except KafkaFault as error:
            raise UnavailableError(f"the posts can't be read now: {error}") from error
        events = sorted(kept.values(), key=lambda one: (one[0].created_at, one[0].id))[:limit]
        for event, partition, key in events:
            self._tombstones.shown(partition, key, event.id)
        note = None
        if records_in(spans) > _MOST_RECORDS:
            note = f"only the first {_MOST_RECORDS:,} records of this time were looked at"
        elif not spans:
            note = "nothing is known of this time any more"
        elif events and all(one.text is None for one, _, _ in events):
            note = "events carry no text: output.include_text is off"
        return Posts(events=tuple(one for one, _, _ in events), total=total, note=note)

    def _event(self, record: StoredRecord) -> AffectEvent | None:
        """What is there; None for a tombstone, what one deleted, and what is no event."""
        if record.value is None or self._tombstones.hides(
            record.partition, record.offset, record.key
        ):
            return None
        try:
            return _EVENT.decode(record.value)
        except NO_MESSAGE:
            return None

    async def _spans_by_record_time(self, start: datetime, end: datetime) -> dict[int, Span]:
        """By the records' own timestamps: for what is older than the minutes in memory."""
        try:
            async with kafka_topic_log(self._topic, self._broker) as log:
                first = await log.offsets_at(start.astimezone(UTC) - timedelta(minutes=1))
                last = await log.offsets_at(end.astimezone(UTC) + timedelta(minutes=10))
        except KafkaFault as error:
            raise UnavailableError(f"the posts can't be read now: {error}") from error
        return {number: Span(first[number], last[number]) for number in first}


def _is_negative(event: AffectEvent) -> bool:
    if isinstance(event.sentiment, msgspec.UnsetType):
        return False
    valence = event.sentiment.valence
    return not isinstance(valence, msgspec.UnsetType) and valence < NEGATIVE_BELOW
