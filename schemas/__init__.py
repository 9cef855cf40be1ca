"""The contracts: what comes in on a topic, and what goes out."""

from schemas.dead_letter import DeadLetter, Headers
from schemas.event import EMOTIONS, INTENSITY_EMOTIONS, AffectEvent, ModelRef, Sentiment
from schemas.headers import (
    AFFECT_EVENT,
    EventType,
    NotADeadLetterError,
    dead_letter_headers,
    event_headers,
    read_dead_letter,
)
from schemas.post import Post

__all__ = [
    "AFFECT_EVENT",
    "EMOTIONS",
    "INTENSITY_EMOTIONS",
    "AffectEvent",
    "DeadLetter",
    "EventType",
    "Headers",
    "ModelRef",
    "NotADeadLetterError",
    "Post",
    "Sentiment",
    "dead_letter_headers",
    "event_headers",
    "read_dead_letter",
]
