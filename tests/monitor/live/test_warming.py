"""A track that is new is warmed from the events kept, in memory that does not grow with them."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import cast

import pytest
from aiokafka import TopicPartition

from monitor.configured import make_matcher, make_watch
from monitor.events import reading_of
from monitor.live import restoring
from monitor.live.intake import Arrived
from monitor.live.restoring import new_tracks, warm
from monitor.live.stored import Stored
from monitor.settings import Settings
from runtime.kafka.connection import Broker
from runtime.kafka.topic_log import Span
from schemas import AffectEvent
from tests.monitor.live.made import T0
from tests.monitor.live.stage import mood

DAY = 86_400


class Kept:
    """One partition with these events."""

    def __init__(self, events: list[AffectEvent]) -> None:
        self._events = events
        self.positions = {TopicPartition("events", 0): 0}

    async def spans(self) -> dict[int, Span]:
        return {0: Span(0, len(self._events))}

    async def offsets_at(self, _moment: datetime) -> dict[int, int]:
        return {0: 0}

    def reader(self, *_: object) -> "Kept":
        return self

    async def take(self, *, timeout_s: float) -> list[Arrived]:
        assert timeout_s
        (tp, start) = next(iter(self.positions.items()))
        taken = list(self._arrived(start, min(start + 1_000, len(self._events))))
        self.positions[tp] = start + len(taken)
        return taken

    def _arrived(self, start: int, end: int) -> Iterator[Arrived]:
        for offset in range(start, end):
            one = self._events[offset]
            at = one.created_at.timestamp()
            yield Arrived(0, offset, at, b"k", reading_of(one), tombstone=False, unanswered=False)


async def test_all_days_are_learnt_and_the_windows_of_the_last_are_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events = mood(0, 3 * DAY, every_s=60, negative=0.3)

    @asynccontextmanager
    async def kept(*_: object) -> AsyncIterator[Kept]:
        yield Kept(events)

    monkeypatch.setattr(restoring, "kafka_topic_log", kept)
    settings = Settings.model_validate(
        {"monitor": {"tracks": [{"name": "trains", "topics": ["trains"]}]}}
    )
    until = T0 + timedelta(days=3)
    stored = Stored(closed_until=int(until.timestamp()), read_until={0: len(events) - 1})
    new = new_tracks(settings, stored)
    windows = await warm(settings, cast("Broker", None), stored, new)
    assert [one.start for one in windows] == [
        until - timedelta(minutes=left) for left in range(24 * 60, 0, -1)
    ]
    watch = make_watch(settings, make_matcher(settings))
    restoring.restore(settings, watch, make_matcher(settings), stored)
    assert watch.detectors["trains"].warm
    assert watch.detectors["trains"].same_hour(until.timestamp() - 1_800, 2) is not None
    assert new_tracks(settings, stored) == ()
