"""Made-up alerts, as an analyst would find them."""

from datetime import datetime, timedelta
from typing import Literal

from msgspec import UNSET

from monitor.page.data import AlertView
from schemas.alert import Alert, AlertAction, AlertState, Evidence, Severity, Term

Outcome = Literal["firing", "resolved", "stale"]


def alert_of(
    track: str,
    since: datetime,
    at: datetime,
    state: Outcome,
    *,
    severity: Severity = "critical",
    rise: float = 0.32,
    terms: tuple[str, ...] = ("cancelled", "gate", "refund", "no information", "boarding"),
) -> AlertView:
    """An alert that fired six minutes after `since` and has `state` from `at` on."""
    fired = since + timedelta(minutes=6)
    transitions: list[tuple[AlertState, datetime]] = [
        ("pending", since + timedelta(minutes=3)),
        ("firing", fired),
    ]
    if state != "firing":
        transitions.append((state, at))
    minutes = max(1, int((at - since).total_seconds() // 60))
    posts = 24 * minutes
    alert = Alert(
        version=1,
        id=f"{track}-{since:%d%H%M}-{state}",
        alert_id=f"{track}-{since:%d%H%M}",
        track=track,
        transition=state,
        measure="negative_share",
        severity=severity,
        observed=round(0.22 + rise, 3),
        expected=0.22,
        evidence=(
            Evidence(
                measure="negative_share", observed=round(0.22 + rise, 3), expected=0.22, score=41.2
            ),
            Evidence(measure="anger", observed=0.34, expected=0.12, score=28.9),
            Evidence(measure="valence", observed=0.43, expected=0.57, score=22.4),
            Evidence(measure="negative_posts", observed=12.8, expected=3.3, score=17.0),
        ),
        started_at=since,
        fired_at=fired,
        at=fired if state == "firing" else at,
        resolved_at=at if state == "resolved" else UNSET,
        posts=posts,
        negative_posts=round(posts * (0.22 + rise)),
        authors=round(posts * (0.22 + rise) * 0.91),
        emotions={"anger": 0.22, "disgust": 0.16, "sadness": 0.07, "joy": -0.19},
        terms=tuple(
            Term(term=term, posts=60 - 9 * i, authors=52 - 8 * i, log_odds=9.1 - i)
            for i, term in enumerate(terms)
        ),
        sources={"bluesky": 0.55, "mastodon": 0.28, "forum": 0.17},
        langs={"en": 0.81, "es": 0.12, "de": 0.07},
        top_authors={"3fa9c1d07b22": 0.03, "b81e55d0aa10": 0.02},
        same_hour_yesterday=0.23,
        same_hour_last_week=0.21,
        examples=tuple(f"{track}-{since:%d%H%M}-{i}" for i in range(5)),
    )
    return AlertView(alert=alert, transitions=tuple(transitions))


def past_alerts(end: datetime) -> list[AlertView]:
    """What happened in the 24 hours before `end`."""
    first = end - timedelta(hours=15)
    second = end - timedelta(hours=5, minutes=20)
    third = end - timedelta(hours=2, minutes=8)
    one = alert_of(
        "energy prices",
        first,
        first + timedelta(minutes=52),
        "resolved",
        severity="warning",
        rise=0.26,
        terms=("bill", "winter", "double"),
    )
    two = alert_of(
        "#checkout",
        second,
        second + timedelta(minutes=41),
        "resolved",
        severity="warning",
        rise=0.24,
        terms=("payment failed", "error 502", "basket"),
    )
    three = alert_of(
        "night bus",
        third,
        third + timedelta(minutes=30),
        "stale",
        severity="info",
        rise=0.2,
        terms=("strike", "stop", "dark"),
    )
    acked = AlertAction(
        version=1,
        id="a1",
        alert_id=two.alert.alert_id,
        action="ack",
        by="ana@press.example",
        at=second + timedelta(minutes=9),
    )
    noted = AlertAction(
        version=1,
        id="a2",
        alert_id=two.alert.alert_id,
        action="note",
        by="ana@press.example",
        at=second + timedelta(minutes=14),
        note="Payment provider confirms an outage; status page is up.",
    )
    return [
        one,
        AlertView(alert=two.alert, transitions=two.transitions, actions=(acked, noted)),
        three,
    ]
