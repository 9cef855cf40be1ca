"""Events, alerts and tallies of our own making."""

from datetime import UTC, datetime, timedelta
from typing import Any

from emostream.demo.tally import Tally
from schemas import AffectEvent, ModelRef, Post, Sentiment
from schemas.alert import Alert, Term

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def event(
    post_id: str, valence: float, human: float = 0.0, text: str = "fine", topic: str = "airline"
) -> AffectEvent:
    return AffectEvent(
        version=1,
        id=f"event-{post_id}",
        post_id=post_id,
        created_at=NOON,
        processed_at=NOON,
        text=text,
        topics=(topic,),
        meta={"human_valence": human},
        sentiment=Sentiment(valence=valence),
        emotions=("joy",) if valence > 0.5 else ("anger", "disgust"),
        model=ModelRef(id="m"),
        prompts=3,
    )


def alert(**changes: Any) -> Alert:
    values: dict[str, Any] = {
        "version": 1,
        "id": "t1",
        "alert_id": "a1",
        "track": "airline",
        "transition": "firing",
        "measure": "negative_share",
        "severity": "critical",
        "observed": 0.81,
        "expected": 0.33,
        "started_at": NOON,
        "fired_at": NOON + timedelta(minutes=3),
        "at": NOON + timedelta(minutes=3),
        "posts": 90,
        "negative_posts": 80,
        "authors": 71,
        "terms": tuple(
            Term(term=term, posts=9, authors=8, log_odds=5.0) for term in ("gate", "refund")
        ),
    }
    return Alert(**(values | changes))


def tweets(count: int) -> list[Post]:
    return [
        Post(id=f"t{number}", text=f"tweet {number}", meta={"human_valence": 1.0})
        for number in range(count)
    ]


def tally_of(*events: AffectEvent) -> Tally:
    tally = Tally()
    for one in events:
        tally.event_seen(one)
    return tally
