"""`tweets`: 4,200 tweets with the valence that people gave them, as posts.

Texts are the file's own, byte for byte: `&amp;` stays as it is, because the EmoLLMs were trained
and benchmarked on tweets that hold it. Handles are `@anonymous` in the data set already.
"""

import asyncio
import random
from dataclasses import dataclass, field
from pathlib import Path

from producer.feed import Feed, Source
from producer.rated_tweets import fetch_tweets
from producer.replay import outgoing
from producer.report import Observer, Report
from runtime.clock import Clock
from runtime.kafka.connection import Broker
from runtime.kafka.producing import BoundedProducer, Delivery, RecordProducer, kafka_producer
from schemas import Post

HUMAN_VALENCE = "human_valence"
"""Key in a post's `meta`: mean of ten people's ratings, -4 (most negative) to 4."""


@dataclass(frozen=True, kw_only=True)
class TweetsSettings:
    """How many of the tweets, and how fast."""

    topic: str = "posts"
    count: int | None = None
    """A sample of so many, by the seed; None for all 4,200, in the file's order."""
    rate: float | None = None
    """Posts per second; None for as fast as the broker takes them."""
    seed: int = 0
    delivery: Delivery = field(default_factory=Delivery)


async def send_tweets(
    settings: TweetsSettings,
    broker: Broker,
    *,
    cache: Path | None = None,
    observer: Observer | None = None,
    stop: asyncio.Event | None = None,
    clock: Clock | None = None,
    producer: RecordProducer | None = None,
) -> Report:
    """Send the rated tweets, fetched through pip where they aren't in the cache.

    Raises:
        TweetsUnavailable: they can't be fetched.
        Unreachable, TopicMissing: before anything is sent.
    """
    posts = sample(read_tweets(await fetch_tweets(cache)), settings.count, seed=settings.seed)

    async def source() -> Source:
        for post in posts:
            yield outgoing(post, settings.topic)

    async def run(through: RecordProducer) -> Report:
        feed = Feed(
            BoundedProducer(through, settings.delivery),
            rate=settings.rate,
            limit=len(posts),
            observer=observer,
            stop=stop,
            clock=clock,
        )
        return await feed.run(source())

    if producer is not None:
        return await run(producer)
    async with kafka_producer(broker, settings.delivery, topics=[settings.topic]) as kafka:
        return await run(kafka)


def read_tweets(path: Path) -> list[Post]:
    """All posts of the file (id, rating and text, by tabs), in its order."""
    posts = []
    for line in path.read_text(encoding="utf-8").splitlines():
        number, rating, text = line.split("\t")
        posts.append(
            Post(
                id=f"vader-tweet-{number}",
                text=text,
                source="vader",
                lang="en",
                meta={HUMAN_VALENCE: float(rating)},
            )
        )
    return posts


def sample(posts: list[Post], count: int | None, *, seed: int) -> list[Post]:
    """`count` of the posts in random order, the same for the same seed; all as they are if None."""
    if count is None:
        return posts
    return random.Random(seed).sample(posts, min(count, len(posts)))  # noqa: S311 - no secret
