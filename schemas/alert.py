"""What the monitor says when a track's mood turns negative, and when that ends."""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from schemas.event import NotEmpty, Timestamp, UnitInterval

AlertState: TypeAlias = Literal["pending", "firing", "resolved", "stale"]
"""Prometheus's words, and `stale`: the data stopped, which resolves nothing."""
Severity: TypeAlias = Literal["info", "warning", "critical"]
Measure: TypeAlias = Literal[
    "negative_share", "valence", "anger", "fear", "sadness", "disgust", "negative_posts"
]
"""What rose or fell: share negative, mean valence, an emotion's share, negative posts by people."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One measure against what this track's past and its hour of day explain."""

    measure: Measure
    observed: float
    """A share 0..1, a valence 0..1, or posts a minute (`negative_posts`), since `started_at`."""
    expected: float
    score: Annotated[float, Meta(ge=0)]
    """Log-likelihood ratio (nats) gathered for a rise over the expected."""


class Term(msgspec.Struct, frozen=True, kw_only=True):
    """A word or phrase that sets the alert's posts apart from the track's usual ones."""

    term: str
    posts: Annotated[int, Meta(ge=0)]
    authors: Annotated[int, Meta(ge=0)]
    log_odds: float
    """Weighted log-odds against the baseline (Monroe, Colaresi, Quinn 2008), as a z-score."""


class Alert(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One transition of one alert (version 1). The record's key is `alert_id`."""

    version: Literal[1]
    id: NotEmpty
    """UUIDv5 of alert and transition: a transition written twice has one id."""
    alert_id: NotEmpty
    """UUIDv5 of track and the event time at which it became pending."""
    track: NotEmpty
    transition: AlertState
    """The state that the alert has from here on."""
    kind: Literal["spike", "level", "instrument"] = "spike"
    """`level`: a lasting change; `instrument`: the mix of models changed. Neither fires."""
    measure: Measure
    """The strongest one; `evidence` lists all."""
    severity: Severity
    observed: float
    expected: float
    evidence: tuple[Evidence, ...] = ()
    started_at: Timestamp
    """Event time: since when."""
    fired_at: Timestamp | UnsetType = UNSET
    """Event time (watermark) at which it fired."""
    resolved_at: Timestamp | UnsetType = UNSET
    at: Timestamp
    """Event time (watermark) of this transition."""
    posts: Annotated[int, Meta(ge=0)]
    """Distinct posts of the track since `started_at`."""
    negative_posts: Annotated[int, Meta(ge=0)] = 0
    authors: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    """Distinct authors of the negative posts; absent where events carry no author."""
    emotions: dict[str, float] = {}
    """Emotion to the change of its share (observed minus expected), the largest first."""
    terms: tuple[Term, ...] = ()
    sources: dict[str, UnitInterval] = {}
    """Share of the negative posts by source."""
    langs: dict[str, UnitInterval] = {}
    top_authors: dict[str, UnitInterval] = {}
    """Pseudonym to its share of the negative posts, the largest first, five at most."""
    same_hour_yesterday: UnitInterval | UnsetType = UNSET
    """The share negative of the same hour, where known."""
    same_hour_last_week: UnitInterval | UnsetType = UNSET
    examples: tuple[str, ...] = ()
    """Event ids of five posts; their text is looked up when it is shown."""
    late: Annotated[int, Meta(ge=0)] = 0
    """Events of this track that came too late since `started_at`."""
    note: str | None = None
    """A sentence where something must be known: authors are unknown, data stopped, …"""


class AlertAction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a person did with an alert; on the alerts' topic, keyed by `alert_id` like the alert."""

    version: Literal[1]
    id: NotEmpty
    alert_id: NotEmpty
    action: Literal["ack", "note", "false"]
    by: NotEmpty
    at: Timestamp
    """Wall clock."""
    note: str | None = None


class Mute(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """No notification of this track, until a time or each week. The record's key is `track`."""

    version: Literal[1]
    id: NotEmpty
    track: NotEmpty
    by: NotEmpty
    at: Timestamp
    until: Timestamp | None = None
    weekly: str | None = None
    """`mon,tue 22:00-06:00`: days and times of day in `zone`."""
    zone: str | None = None
    """IANA time zone, e.g. `Europe/Vienna`."""
    note: str | None = None
