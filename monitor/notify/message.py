"""What a person is told of an alert: words only, for every kind of target to dress up."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from urllib.parse import urlencode

import msgspec
from msgspec import UNSET

from schemas.alert import Alert, Measure, Severity

_NAMESPACE = uuid.UUID("6f0c8f5e-6d5f-5d6e-9a3a-0a5be7f0c6a1")
"""Of ids of notifications that tell several transitions at once."""
_MEASURES: dict[Measure, str] = {
    "negative_share": "share of negative posts",
    "valence": "mean valence",
    "anger": "posts with anger",
    "fear": "posts with fear",
    "sadness": "posts with sadness",
    "disgust": "posts with disgust",
    "negative_posts": "negative posts a minute",
}
_STATES = {
    "pending": "is being watched",
    "firing": "turned negative",
    "resolved": "is back to normal",
    "stale": "has no data any more",
}
_CAVEAT = "events carry"
"""How a note begins that only says what the events lack (monitor/detection/alerts.py)."""
_SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
_TERMS = 5
"""Terms named in a notification; the page has all of them."""
_EXAMPLE_CHARS = 280
_HIDDEN = str.maketrans({"@": "@\u2060"})
"""A word joiner after the sign: no chat takes it for a mention, and it looks the same."""


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """One message about one track: the newest transition of each of its alerts."""

    id: str
    """Deterministic: what is told twice has one id."""
    track: str
    severity: Severity
    """The highest of `alerts`."""
    alerts: tuple[Alert, ...]
    """Oldest first; at least one."""
    title: str
    """One line."""
    lines: tuple[str, ...]
    """Sentences, one a line."""
    examples: tuple[str, ...] = ()
    """Texts of posts, shortened and with mentions disarmed; empty unless they were asked for."""
    link: str | None = None
    """The page at this moment."""

    @property
    def text(self) -> str:
        """All of it as plain text."""
        return "\n".join([self.title, *self.lines, *(f"> {one}" for one in self.examples)])


def compose(
    alerts: Sequence[Alert], *, page_url: str = "", examples: Sequence[str] = ()
) -> Notification:
    """Tell these transitions of one track; the last one of each alert counts.

    `examples` are posts' texts, given only where the target's configuration asks for them.
    """
    newest = {alert.alert_id: alert for alert in alerts}
    told = tuple(newest.values())
    last = told[-1]
    ids = [alert.id for alert in told]
    return Notification(
        id=ids[0] if len(ids) == 1 else str(uuid.uuid5(_NAMESPACE, "\0".join(ids))),
        track=last.track,
        severity=max((alert.severity for alert in told), key=_SEVERITIES.index),
        alerts=told,
        title=_title(last),
        lines=tuple(line for alert in told for line in _lines(alert)),
        examples=tuple(disarmed(text) for text in examples),
        link=moment(page_url, last) if page_url else None,
    )


def disarmed(text: str) -> str:
    """A stranger's text on one line, at most 280 characters, that mentions nobody."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    cut = line if len(line) <= _EXAMPLE_CHARS else line[: _EXAMPLE_CHARS - 1] + "…"
    return cut.translate(_HIDDEN)


def moment(page_url: str, alert: Alert) -> str:
    """The page's address for an alert, at the time at which it fired: with the posts before it."""
    at = alert.at if alert.fired_at is UNSET else alert.fired_at
    query = urlencode(
        {
            "track": alert.track,
            "range": "24h",
            "at": int(at.timestamp()),
            "alert": alert.alert_id,
        }
    )
    return f"{page_url.rstrip('/')}/?{query}"


def _title(alert: Alert) -> str:
    what = _STATES[alert.transition]
    if alert.transition == "resolved" and alert.note and not alert.note.startswith(_CAVEAT):
        what = "fires no more"  # for another reason than its mood, which its last line says
    if alert.kind == "level":
        what = "has a new level of mood"
    elif alert.kind == "instrument":
        what = "is read by other models now"
    return f"[{alert.severity}] {disarmed(alert.track)} {what}"


def _lines(alert: Alert) -> list[str]:
    measure = _MEASURES.get(alert.measure, alert.measure)
    observed, expected = (
        _figure(alert.measure, alert.observed),
        _figure(alert.measure, alert.expected),
    )
    lines = [f"{measure.capitalize()}: {observed}, expected {expected}."]
    people = "" if alert.authors is UNSET else f" by {alert.authors} people"
    lines.append(
        f"Since {_time(alert.started_at)}: {alert.posts} posts, {alert.negative_posts}"
        f" of them negative{people}."
    )
    if alert.resolved_at is not UNSET:
        lines.append(f"Resolved at {_time(alert.resolved_at)}.")
    if alert.terms:
        lines.append("What sets them apart: " + ", ".join(t.term for t in alert.terms[:_TERMS]))
    if alert.note:
        lines.append(alert.note)
    return [disarmed(line) for line in lines]


def _figure(measure: Measure, value: float) -> str:
    if measure == "negative_posts":
        return f"{value:.1f}"
    return f"{value:.2f}" if measure == "valence" else f"{value:.0%}"


def _time(moment_: datetime) -> str:
    return f"{moment_:%Y-%m-%d %H:%M} UTC"


State = Literal["firing", "resolved", "stale"]
"""What notifications may be about."""
