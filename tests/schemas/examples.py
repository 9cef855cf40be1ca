"""Events, posts and dead letters of every shape, for the tests of the contracts."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from schemas import (
    EMOTIONS,
    INTENSITY_EMOTIONS,
    AffectEvent,
    DeadLetter,
    ModelRef,
    ModelUse,
    Post,
    Sentiment,
)

NOON = datetime(2026, 5, 4, 12, 0, 0, 250, tzinfo=UTC)

FULL_EVENT = AffectEvent(
    version=1,
    id="6f0d7d0a-6c3e-5d6f-9b43-0d3c2a0f5a10",
    post_id="p-1",
    source="mastodon",
    author="8c1f…",
    created_at=NOON,
    lang="en",
    url="https://example.org/p-1",
    topics=("trains", "monday"),
    meta={"likes": 3, "nested": {"a": [None, True]}},
    text="So happy the train came 😂",
    text_truncated=True,
    sentiment=Sentiment(valence=0.87, class_=2),
    emotions=("joy", "optimism"),
    intensity={"joy": 0.7},
    intensity_class={"joy": 3},
    custom={"irony": "no", "score": 0.2},
    derived=("sentiment.class", "intensity_class.joy"),
    unanswered={"EI-reg:anger": "out of range"},
    model=ModelRef(id="lzw1008/Emollama-chat-7b", revision="abc", server="http://tgi:8080"),
    processed_at=NOON,
    cached=True,
    prompts=3,
)
BARE_EVENT = AffectEvent(
    version=1,
    id="e",
    post_id="p",
    created_at=NOON,
    model=ModelRef(id="m"),
    processed_at=NOON,
)
NEUTRAL_EVENT = AffectEvent(
    version=1,
    id="e",
    post_id="p",
    created_at=NOON,
    sentiment=Sentiment(class_=0),
    emotions=(),
    intensity={},
    model=ModelRef(id="m"),
    processed_at=NOON,
)
TWO_MODELS_EVENT = AffectEvent(
    version=1,
    id="e",
    post_id="p",
    created_at=NOON,
    sentiment=Sentiment(valence=0.812, class_=3),
    emotions=("joy",),
    model=ModelRef(id="lzw1008/Emollama-chat-7b", revision="abc", server="http://tgi:8080"),
    opinion="both",
    models={
        "first": ModelUse(
            id="lzw1008/Emollama-chat-7b", revision="abc", server="http://tgi:8080", prompts=2
        ),
        "second": ModelUse(id="emostream-small", server="http://small:3000", prompts=3),
    },
    processed_at=NOON,
    prompts=5,
)

# What UTF-8 can hold: no lone surrogates.
texts = st.text(st.characters(exclude_categories=["Cs"]))
moments = st.datetimes(
    min_value=datetime(1990, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone itself
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))]),
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
_units = st.floats(0, 1)

posts = st.builds(
    Post,
    id=texts.filter(bool),
    text=texts,
    source=st.none() | texts,
    author=st.none() | texts,
    created_at=st.none() | moments,
    lang=st.none() | texts,
    topics=st.lists(texts, max_size=3).map(tuple),
    meta=st.dictionaries(texts, json_values, max_size=3),
)

events = st.builds(
    AffectEvent,
    version=st.just(1),
    id=texts.filter(bool),
    post_id=texts.filter(bool),
    created_at=moments,
    processed_at=moments,
    model=st.builds(ModelRef, id=texts.filter(bool), revision=st.none() | texts),
    text=st.none() | texts,
    topics=st.lists(texts, max_size=3).map(tuple),
    meta=st.dictionaries(texts, json_values, max_size=3),
    sentiment=st.builds(Sentiment, valence=_units, class_=st.integers(-3, 3)),
    emotions=st.lists(st.sampled_from(EMOTIONS), unique=True).map(tuple),
    intensity=st.dictionaries(st.sampled_from(INTENSITY_EMOTIONS), _units),
    intensity_class=st.dictionaries(st.sampled_from(INTENSITY_EMOTIONS), st.integers(0, 3)),
    unanswered=st.dictionaries(texts, texts, max_size=2),
    prompts=st.integers(0, 20),
    opinion=st.none() | st.sampled_from(("both", "first", "second")),
    models=st.dictionaries(
        st.sampled_from(("first", "second")),
        st.builds(ModelUse, id=texts.filter(bool), prompts=st.integers(0, 20)),
    ),
)

_own_names = texts.filter(lambda name: not name.startswith("__emostream.errors."))

dead_letters = st.builds(
    DeadLetter,
    key=st.none() | st.binary(),
    value=st.none() | st.binary(),
    headers=st.lists(st.tuples(_own_names, st.none() | st.binary()), max_size=4).map(tuple),
    topic=texts,
    partition=st.integers(0, 2**31),
    offset=st.integers(0, 2**63),
    stage=texts,
    class_name=texts,
    message=texts,
    attempts=st.integers(0, 100),
    model=st.none() | texts,
    first_seen=moments,
    timestamp_ms=st.none() | st.integers(0, 2**62),
)
