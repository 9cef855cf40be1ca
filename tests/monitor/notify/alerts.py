"""Alerts of our own making."""

from datetime import UTC, datetime
from typing import Any

from schemas.alert import Alert, Term

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def alert(number: int = 1, **changes: Any) -> Alert:
    values: dict[str, Any] = {
        "version": 1,
        "id": f"transition-{number}",
        "alert_id": f"alert-{number}",
        "track": "airline",
        "transition": "firing",
        "measure": "negative_share",
        "severity": "warning",
        "observed": 0.62,
        "expected": 0.31,
        "started_at": NOON,
        "fired_at": NOON.replace(minute=6),
        "at": NOON.replace(minute=6),
        "posts": 212,
        "negative_posts": 131,
        "authors": 97,
        "terms": (Term(term="delay", posts=40, authors=31, log_odds=9.1),),
    }
    return Alert(**(values | changes))
