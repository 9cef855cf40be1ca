"""The contracts: what comes in on a topic, and what goes out."""

from schemas.alert import Alert, AlertAction, Evidence, Mute, Term
from schemas.baseline import Baseline
from schemas.dead_letter import DeadLetter, Headers
from schemas.event import (
    EMOTIONS,
    INTENSITY_EMOTIONS,
    AffectEvent,
    ModelRef,
    ModelUse,
    Sentiment,
)
from schemas.headers import (
    AFFECT_EVENT,
    EventType,
    NotADeadLetterError,
    dead_letter_headers,
    event_headers,
    read_dead_letter,
)
from schemas.post import Post
from schemas.window import Expected, ExpectedValue, OffsetRange, PaneSums, Quantiles, Window

__all__ = [
    "AFFECT_EVENT",
    "EMOTIONS",
    "INTENSITY_EMOTIONS",
    "AffectEvent",
    "Alert",
    "AlertAction",
    "Baseline",
    "DeadLetter",
    "EventType",
    "Evidence",
    "Expected",
    "ExpectedValue",
    "Headers",
    "ModelRef",
    "ModelUse",
    "Mute",
    "NotADeadLetterError",
    "OffsetRange",
    "PaneSums",
    "Post",
    "Quantiles",
    "Sentiment",
    "Term",
    "Window",
    "dead_letter_headers",
    "event_headers",
    "read_dead_letter",
]
