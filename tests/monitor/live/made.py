"""Made-up affect events for the monitor's tests."""

from datetime import UTC, datetime, timedelta

from schemas import AffectEvent, ModelRef, Sentiment

T0 = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def event(
    number: int, *, at_s: float | None = None, topic: str = "trains", **more: object
) -> AffectEvent:
    """The event `number`, `at_s` seconds (by default as many as its number) after `T0`."""
    fields: dict[str, object] = {
        "version": 1,
        "id": f"event-{number}",
        "post_id": f"post-{number}",
        "source": "made-up",
        "author": f"author-{number % 7}",
        "created_at": T0 + timedelta(seconds=number if at_s is None else at_s),
        "lang": "en",
        "topics": (topic,),
        "text": f"made-up post {number}",
        "sentiment": Sentiment(valence=(number * 37 % 100) / 100),
        "emotions": ("anger",) if number % 3 else (),
        "model": ModelRef(id="made-up-model"),
        "processed_at": T0,
    }
    return AffectEvent(**{**fields, **more})  # type: ignore[arg-type]
