"""Readings and panes made up for tests."""

from datetime import UTC, datetime, timedelta

from monitor.events import Model, Mood, Reading
from schemas.window import PaneSums

START = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday, midnight."""
T0 = int(START.timestamp())


def reading(
    number: int = 0,
    *,
    at: float = 0.0,
    valence: float | None = 0.6,
    topics: tuple[str, ...] = ("trains",),
    author: str | None = None,
    text: str | None = None,
    made_after: float = 1.0,
    model: str = "small",
    source: str | None = "mastodon",
    lang: str | None = "en",
    emotions: tuple[str, ...] | None = (),
    post_id: str | None = None,
    opinion: str | None = None,
) -> Reading:
    """A reading at so many seconds from START."""
    created = START + timedelta(seconds=at)
    return Reading(
        id=f"e{number}-{model}",
        post_id=post_id or f"p{number}",
        created_at=created,
        processed_at=created + timedelta(seconds=made_after),
        model=Model(model),
        source=source,
        author=author,
        lang=lang,
        topics=topics,
        text=text,
        sentiment=None if valence is None else Mood(valence),
        emotions=emotions,
        opinion=opinion,
    )


def pane(
    at: int, posts: int, soft: float, *, reader: str = "small", people: int | None = None
) -> PaneSums:
    """A pane of so many posts with this sum of soft counts."""
    return PaneSums(
        at=at,
        posts=posts,
        scored=posts,
        soft=soft,
        soft_squares=soft * 0.8,
        negative=round(soft),
        valence=posts * 0.5,
        people=round(soft) if people is None else people,
        readers={reader: posts},
    )
