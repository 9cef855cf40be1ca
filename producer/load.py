"""`load`: as many synthetic posts as a test wants, good ones, reposts and bad ones, by a seed."""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from producer.bad_input import BAD_INPUTS, BadInput
from producer.feed import Feed, Source
from producer.report import Observer, Report
from producer.synthetic import synthetic_post
from runtime.clock import Clock
from runtime.kafka.connection import Broker
from runtime.kafka.producing import (
    BoundedProducer,
    Delivery,
    Outgoing,
    RecordProducer,
    kafka_producer,
)

POST = "post"
REPOST = "repost"

_REMEMBERED = 1_000
"""Texts that a repost draws from: reposts in real streams are of recent posts."""

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, kw_only=True)
class LoadSettings:
    """What to make, and how fast. The same seed makes the same records, byte for byte."""

    topic: str = "posts"
    rate: float | None = None
    """Posts per second; None for as fast as the broker takes them."""
    count: int | None = None
    """Records to send; None for until `duration_s` is over, or `stop` is set."""
    duration_s: float | None = None
    size: int = 120
    """Characters of a text, about; a sentence, some 75, is the least."""
    duplicates: float = 0.0
    """Share (0 to 1) of records that repeat an earlier text under a new id, as reposts do."""
    bad_input: float = 0.0
    """Share (0 to 1) of records from the table of bad input."""
    bad_kinds: tuple[str, ...] = ()
    """Which kinds of bad input; empty for all, in equal parts."""
    seed: int = 0
    delivery: Delivery = field(default_factory=Delivery)

    def __post_init__(self) -> None:
        """Refuse what makes no sense, with a ValueError."""
        shares = (self.duplicates, self.bad_input)
        if min(shares) < 0 or sum(shares) > 1:
            raise ValueError("duplicates and bad_input are shares: 0 to 1, and 1 together at most")
        if unknown := set(self.bad_kinds) - {bad.kind for bad in BAD_INPUTS}:
            raise ValueError(
                f"no such bad input: {', '.join(sorted(unknown))};"
                f" there are {', '.join(bad.kind for bad in BAD_INPUTS)}"
            )
        if self.size < 1:
            raise ValueError("size must be at least 1 character")


async def send_load(
    settings: LoadSettings,
    broker: Broker,
    *,
    observer: Observer | None = None,
    stop: asyncio.Event | None = None,
    clock: Clock | None = None,
    producer: RecordProducer | None = None,
) -> Report:
    """Send synthetic records; the report's `kinds` counts what they were made as.

    Raises:
        Unreachable, TopicMissing: before anything is sent.
    """

    async def run(through: RecordProducer) -> Report:
        feed = Feed(
            BoundedProducer(through, settings.delivery),
            rate=settings.rate,
            limit=settings.count,
            duration_s=settings.duration_s,
            observer=observer,
            stop=stop,
            clock=clock,
        )
        return await feed.run(_source(settings))

    if producer is not None:
        return await run(producer)
    async with kafka_producer(broker, settings.delivery, topics=[settings.topic]) as kafka:
        return await run(kafka)


def load_records(settings: LoadSettings) -> Iterator[Outgoing]:
    """Yield the records without end; `kind` is `post`, `repost` or a kind of bad input."""
    rng = random.Random(settings.seed)  # noqa: S311 - a test load, not a secret
    bad_inputs = _chosen(settings.bad_kinds)
    recent: list[str] = []
    number = 0
    while True:
        number += 1
        id_ = f"load-{settings.seed}-{number}"
        draw = rng.random()
        if draw < settings.bad_input:
            bad = rng.choice(bad_inputs)
            yield _record(settings.topic, id_, bad.value(id_, rng), bad.kind)
            continue
        post, kind = synthetic_post(rng, id_=id_, size=settings.size), POST
        if recent and draw < settings.bad_input + settings.duplicates:
            post = msgspec.structs.replace(post, text=rng.choice(recent))
            kind = REPOST
        elif len(recent) < _REMEMBERED:
            recent.append(post.text)
        else:
            recent[rng.randrange(_REMEMBERED)] = post.text
        yield _record(settings.topic, id_, _encode(post), kind)


def _chosen(kinds: tuple[str, ...]) -> tuple[BadInput, ...]:
    return tuple(bad for bad in BAD_INPUTS if not kinds or bad.kind in kinds)


def _record(topic: str, id_: str, value: bytes | None, kind: str) -> Outgoing:
    return Outgoing(topic=topic, key=id_.encode(), value=value, kind=kind)


async def _source(settings: LoadSettings) -> Source:
    for record in load_records(settings):
        yield record
