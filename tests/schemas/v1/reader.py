"""A consumer of version 1, as somebody else wrote it when version 1 came out. Frozen."""

from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType


class SentimentV1(msgspec.Struct):
    valence: float | UnsetType = UNSET
    class_: int | UnsetType = msgspec.field(name="class", default=UNSET)


class ModelV1(msgspec.Struct):
    id: str
    revision: str | None = None
    server: str | None = None


class AffectEventV1(msgspec.Struct):
    version: Literal[1]
    id: str
    post_id: str
    created_at: datetime
    processed_at: datetime
    model: ModelV1
    source: str | None = None
    author: str | None = None
    lang: str | None = None
    url: str | None = None
    topics: list[str] = []
    meta: dict[str, Any] = {}
    text: str | None = None
    text_truncated: bool = False
    sentiment: SentimentV1 | UnsetType = UNSET
    emotions: list[str] | UnsetType = UNSET
    intensity: dict[str, float] | UnsetType = UNSET
    intensity_class: dict[str, int] | UnsetType = UNSET
    custom: dict[str, Any] | UnsetType = UNSET
    derived: list[str] = []
    unanswered: dict[str, str] = {}
    cached: bool = False
    prompts: int = 0
