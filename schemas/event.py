"""What goes out: one affect event for one post."""

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

EMOTIONS = (
    "anger",
    "anticipation",
    "disgust",
    "fear",
    "joy",
    "love",
    "optimism",
    "pessimism",
    "sadness",
    "surprise",
    "trust",
)
"""The labels of the task E-c (SemEval-2018 Task 1), alphabetical."""

INTENSITY_EMOTIONS = ("anger", "fear", "joy", "sadness")
"""The emotions of the tasks EI-reg and EI-oc."""

# The labels stand in the JSON Schema and not in the type: what we write is enumerated, and a
# reader of ours that meets a label of a later version carries it on instead of failing.
Emotion: TypeAlias = Annotated[str, Meta(extra_json_schema={"enum": list(EMOTIONS)})]
IntensityEmotion: TypeAlias = Annotated[
    str, Meta(extra_json_schema={"enum": list(INTENSITY_EMOTIONS)})
]
Opinion: TypeAlias = Annotated[str, Meta(extra_json_schema={"enum": ["both", "first", "second"]})]
Role: TypeAlias = Annotated[str, Meta(extra_json_schema={"enum": ["first", "second"]})]
# Ranges are checked where an event is decoded; encoding, the hot path, checks nothing.
ValenceClass: TypeAlias = Annotated[int, Meta(ge=-3, le=3)]
IntensityClass: TypeAlias = Annotated[int, Meta(ge=0, le=3)]
UnitInterval: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Timestamp: TypeAlias = Annotated[datetime, Meta(tz=True)]
NotEmpty: TypeAlias = Annotated[str, Meta(min_length=1)]


class Sentiment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How positive or negative a text is. Absent means not asked, or not answered."""

    valence: UnitInterval | UnsetType = UNSET
    """0 (most negative) to 1 (most positive): the task V-reg."""
    class_: ValenceClass | UnsetType = msgspec.field(name="class", default=UNSET)
    """-3 (very negative) to 3 (very positive): the task V-oc, asked or derived."""


class ModelRef(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which model answered, and on which server."""

    id: NotEmpty
    revision: str | None = None
    server: str | None = None
    """Base URL of the model server, without credentials."""


class ModelUse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of two models, and what it was asked about this post."""

    id: NotEmpty
    revision: str | None = None
    server: str | None = None
    """Base URL of the model server that was asked last, without credentials."""
    prompts: Annotated[int, Meta(ge=0)] = 0
    """How many prompts it was sent for this post, repeats included."""


class AffectEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an EmoLLM read in one post (version 1).

    A field that is absent was not asked or could not be answered (see `unanswered`): no value
    is ever invented. A redelivered record gives an event with the same `id`.
    """

    version: Literal[1]
    id: NotEmpty
    """UUIDv5 of cluster, topic, partition, offset, value, configured model and task set."""
    post_id: NotEmpty
    """The post's id at its source; where the configuration says so, its keyed hash or `id`."""
    source: str | None = None
    author: str | None = None
    """Keyed hash (pseudonym) of the post's author; absent without a key in the configuration."""
    created_at: Timestamp
    created_at_from: Annotated[str, Meta(extra_json_schema={"enum": ["record"]})] | None = None
    """`record`: the post names no time that can be read, so this is its Kafka record's."""
    lang: str | None = None
    url: str | None = None
    topics: tuple[str, ...] = ()
    meta: dict[str, Any] = {}
    text: str | None = None
    """The post's text, HTML as text; absent where the configuration drops it."""
    text_truncated: bool = False
    """True when the model saw a shortened text (cut at a word, from the end)."""
    sentiment: Sentiment | UnsetType = UNSET
    emotions: tuple[Emotion, ...] | UnsetType = UNSET
    """Labels found (the task E-c), alphabetical; empty means neutral or no emotion."""
    intensity: dict[IntensityEmotion, UnitInterval] | UnsetType = UNSET
    """Emotion to 0..1 (the task EI-reg)."""
    intensity_class: dict[IntensityEmotion, IntensityClass] | UnsetType = UNSET
    """Emotion to 0..3 (the task EI-oc)."""
    custom: dict[str, Any] | UnsetType = UNSET
    """Results of custom tasks by name."""
    derived: tuple[str, ...] = ()
    """Paths of values computed from another answer instead of asked, e.g. `sentiment.class`."""
    unanswered: dict[str, str] = {}
    """Task (`V-reg`, `EI-reg:anger`, …) to the reason why it has no value."""
    model: ModelRef
    """Whose reading it is; of both models' (see `opinion`) the first one."""
    opinion: Opinion | None = None
    """Whose reading it is where a second model is configured: the values are `both` models', the
    `first` one's alone or the `second` one's alone."""
    models: dict[Role, ModelUse] = {}
    """The models, `first` and `second`, as far as they are known, where a second is configured."""
    processed_at: Timestamp
    cached: bool = False
    """True when every answer came from the cache: no prompt was sent for this post."""
    prompts: Annotated[int, Meta(ge=0)] = 0
    """How many prompts were sent for this post, repeats included."""
