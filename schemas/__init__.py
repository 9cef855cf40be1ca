"""The contracts: what comes in on a topic, and what goes out."""

from schemas.dead_letter import DeadLetter
from schemas.event import AffectEvent, ModelRef, Sentiment
from schemas.post import Post

__all__ = ["AffectEvent", "DeadLetter", "ModelRef", "Post", "Sentiment"]
