"""What came out, held against what went in: by set arithmetic, not by sampling."""

import time
from collections import Counter, deque
from collections.abc import Collection
from statistics import fmean, quantiles
from typing import Any

import msgspec

from producer import Agreement, Progress, valence_agreement
from schemas import AffectEvent

_SHOWN = 6
"""Latest posts in the live view: what a person can read as they pass."""


class Seen(msgspec.Struct, frozen=True):
    """One event as the live view shows it."""

    text: str
    valence: float | None
    emotions: tuple[str, ...]


class Tally:
    """Counts posts sent and events and dead letters come back."""

    def __init__(self) -> None:
        self.sent = 0
        """Posts that Kafka acknowledged so far."""
        self.events: dict[str, AffectEvent] = {}
        """By post id."""
        self.dead: set[str] = set()
        """Post id (the record's key) of those that became dead letters."""
        self.repeated = 0
        """Events that came again with the same id: a redelivery."""
        self.prompts = 0
        self.latencies_s: list[float] = []
        self.emotions: Counter[str] = Counter()
        self.moods: deque[float] = deque(maxlen=200)
        self.latest: deque[Seen] = deque(maxlen=_SHOWN)
        self.first_event_at: float | None = None
        self.last_event_at: float | None = None
        self.model: str | None = None

    def progress(self, progress: Progress) -> None:
        """Posts went in."""
        self.sent = progress.acked

    def event_seen(self, event: AffectEvent) -> None:
        """An event came out."""
        if event.post_id in self.events:
            self.repeated += 1
            return
        now = time.time()
        self.first_event_at = self.first_event_at or now
        self.last_event_at = now
        self.model = event.model.id
        # Tweets bring no time of their own: `created_at` is when the record was written.
        self.latencies_s.append(now - event.created_at.timestamp())
        self.prompts += event.prompts
        sentiment: Any = event.sentiment
        valence = None if sentiment is msgspec.UNSET else sentiment.valence
        valence = None if valence is msgspec.UNSET else valence
        self.events[event.post_id] = event
        emotions = () if event.emotions is msgspec.UNSET else event.emotions
        self.emotions.update(emotions)
        if valence is not None:
            self.moods.append(valence)
        self.latest.append(Seen(event.text or "", valence, emotions))

    @property
    def out(self) -> int:
        """Posts that ended, as an event or as a dead letter."""
        return len(self.events.keys() | self.dead)

    def lost(self, sent: Collection[str]) -> int:
        """How many of these post ids are neither an event nor a dead letter."""
        return len(set(sent) - self.events.keys() - self.dead)

    @property
    def mood(self) -> float | None:
        """Mean valence of the latest events, 0 to 1."""
        return fmean(self.moods) if self.moods else None

    def latency_ms(self, percent: int) -> float | None:
        """A percentile of the time from the post's record to its event read back."""
        if len(self.latencies_s) < 2:
            return None
        return 1000 * quantiles(self.latencies_s, n=100, method="inclusive")[percent - 1]

    def agreement(self) -> Agreement:
        """How well the model's valence agrees with the humans' ratings."""
        return valence_agreement(self.events.values())
