"""What came out, held against what went in: by set arithmetic, not by sampling."""

import time
from collections import deque
from collections.abc import Collection, Mapping
from statistics import fmean, quantiles

import msgspec
from msgspec import UNSET

from producer import Agreement, valence_agreement
from schemas import AffectEvent
from schemas.alert import Alert

WINDOW_S = 10.0
"""All figures of the live view are over the same last ten seconds."""
_KEPT = 80
"""Latest posts kept for the live view: more than the tallest terminal shows."""
NEGATIVE = 0.43
"""A valence below it is negative, as everywhere in emostream."""


class Seen(msgspec.Struct, frozen=True):
    """One event as the live view shows it."""

    at: float
    """When it was read back, monotonic seconds."""
    text: str
    topic: str
    valence: float | None
    emotions: tuple[str, ...]
    latency_s: float | None


class Mood(msgspec.Struct, frozen=True):
    """One topic over the last ten seconds."""

    topic: str
    posts: int
    valence: float
    negative: float
    """Share of posts with a valence below 0.43."""


class Tally:
    """Counts posts sent and events, dead letters and alerts come back. One event loop writes it."""

    def __init__(self) -> None:
        self.sent = 0
        """Posts that Kafka acknowledged so far."""
        self.sent_at: dict[str, float] = {}
        """Post id to when it was handed to Kafka, monotonic seconds."""
        self.events: dict[str, AffectEvent] = {}
        """By post id."""
        self.dead: set[str] = set()
        """Post id (the record's key) of those that became dead letters."""
        self.repeated = 0
        """Events that came again with the same id: a redelivery."""
        self.prompts = 0
        self.latencies_s: list[float] = []
        self.latest: deque[Seen] = deque(maxlen=_KEPT)
        self._recent: deque[Seen] = deque()
        self.first_event_at: float | None = None
        """Wall clock, like the next one."""
        self.last_event_at: float | None = None
        self.model: str | None = None
        self.alerts: dict[str, Alert] = {}
        """The newest transition of each alert, by its id."""
        self.fired: dict[str, Alert] = {}
        """The transition in which each of them fired."""

    def event_seen(self, event: AffectEvent) -> None:
        """An event came out."""
        known = self.events.get(event.post_id)
        if known is not None:
            if known.id == event.id:
                self.repeated += 1
            else:  # of an edited post: a record of its own, so another id
                self.events[event.post_id] = event
            return
        wall, now = time.time(), time.monotonic()
        self.first_event_at = self.first_event_at or wall
        self.last_event_at = wall
        self.model = event.model.id
        sent = self.sent_at.get(event.post_id)
        latency = None if sent is None else now - sent
        if latency is not None:
            self.latencies_s.append(latency)
        self.prompts += event.prompts
        self.events[event.post_id] = event
        seen = Seen(
            now,
            event.text or "",
            event.topics[0] if event.topics else "",
            valence_of(event),
            () if event.emotions is UNSET else event.emotions,
            latency,
        )
        self.latest.append(seen)
        self._recent.append(seen)

    def alert_seen(self, alert: Alert) -> None:
        """An alert made a transition."""
        self.alerts[alert.alert_id] = alert
        if alert.transition == "firing":
            self.fired.setdefault(alert.alert_id, alert)

    @property
    def out(self) -> int:
        """Posts that ended, as an event or as a dead letter."""
        return len(self.events.keys() | self.dead)

    def ended(self, post_id: str) -> bool:
        """Whether this post came out, as an event or as a dead letter."""
        return post_id in self.events or post_id in self.dead

    def lost(self, sent: Collection[str]) -> int:
        """How many of these post ids are neither an event nor a dead letter."""
        return len(set(sent) - self.events.keys() - self.dead)

    def recent(self, now: float) -> list[Seen]:
        """Events of the last ten seconds."""
        while self._recent and now - self._recent[0].at > WINDOW_S:
            self._recent.popleft()
        return list(self._recent)

    def latency_ms(self, percent: int) -> float | None:
        """A percentile over all posts, from the post's hand-over to its event read back."""
        return _percentile_ms(self.latencies_s, percent)

    def agreement(self) -> Agreement:
        """How well the model's valence agrees with the humans' ratings."""
        return valence_agreement(self.events.values())


def valence_of(event: AffectEvent) -> float | None:
    """The event's valence, where it has one."""
    if event.sentiment is UNSET or event.sentiment.valence is UNSET:
        return None
    return event.sentiment.valence


def moods(recent: Collection[Seen]) -> list[Mood]:
    """These events by topic, in the topics' alphabetical order."""
    topics: dict[str, list[float]] = {}
    for seen in recent:
        if seen.valence is not None:
            topics.setdefault(seen.topic, []).append(seen.valence)
    return [
        Mood(topic, len(values), fmean(values), sum(v < NEGATIVE for v in values) / len(values))
        for topic, values in sorted(topics.items())
    ]


def median_latency_ms(recent: Collection[Seen]) -> float | None:
    """Median time from hand-over to event; None for fewer than two posts."""
    return _percentile_ms([one.latency_s for one in recent if one.latency_s is not None], 50)


def alerting(alerts: Mapping[str, Alert]) -> dict[str, Alert]:
    """Track to its alert that is open now."""
    return {
        alert.track: alert
        for alert in alerts.values()
        if alert.kind == "spike" and alert.transition in {"pending", "firing"}
    }


def _percentile_ms(seconds: list[float], percent: int) -> float | None:
    if len(seconds) < 2:
        return None
    return 1000 * quantiles(seconds, n=100, method="inclusive")[percent - 1]
