"""Whole topics and commits, read for set arithmetic."""

import asyncio
import time
from collections import Counter

import msgspec

from infra.kafka import TopicNames
from producer import Broker
from runtime.kafka.topic_log import Span, kafka_topic_log
from schemas import AffectEvent


class Contents(msgspec.Struct):
    """Everything on the topics, by record key (each input record has a key of its own)."""

    posts: Counter[bytes]
    events: dict[bytes, list[AffectEvent]]
    dead: Counter[bytes]
    uncommitted: int
    """Input records behind the group's commits."""
    behind: dict[int, Span]
    """From the group's commit to the end, by partition."""


async def settled(
    bootstrap: str, group: str, names: TopicNames, posts: int, *, within_s: float = 60
) -> Contents:
    """The topics once so many posts are committed; fails, and tells how far it got, where not."""
    end = time.monotonic() + within_s
    while True:
        found = await contents(
            bootstrap,
            group,
            posts=names.posts,
            events=names.events,
            dead_letters=names.dead_letters,
        )
        if not found.uncommitted and found.posts.total() == posts:
            return found
        assert time.monotonic() < end, (
            f"after {within_s:g} s: {found.posts.total()} of {posts} posts,"
            f" {sum(map(len, found.events.values()))} events, {found.dead.total()} dead letters,"
            f" {found.uncommitted} posts uncommitted: {found.behind}"
        )
        await asyncio.sleep(0.2)  # the brokers' state: nothing tells of a commit


async def contents(
    bootstrap: str, group: str, *, posts: str, events: str, dead_letters: str
) -> Contents:
    """Read the three topics from their beginnings to their ends as they are now."""
    broker = Broker(bootstrap=bootstrap)
    found = Contents(posts=Counter(), events={}, dead=Counter(), uncommitted=0, behind={})
    # Commits before what they follow: so each committed record's outcome is among the found.
    async with kafka_topic_log(posts, broker, group=group) as log:
        found.behind = await log.spans()  # from the group's commits on
        found.uncommitted = sum(span.end - span.start for span in found.behind.values())
        spans = {partition: Span(0, span.end) for partition, span in found.behind.items()}
        async for record in log.read(spans):
            found.posts[record.key or b""] += 1
    async with kafka_topic_log(events, broker) as log:
        async for record in log.read(await log.spans()):
            event = msgspec.json.decode(record.value or b"", type=AffectEvent)
            found.events.setdefault(record.key or b"", []).append(event)
    async with kafka_topic_log(dead_letters, broker) as log:
        async for record in log.read(await log.spans()):
            found.dead[record.key or b""] += 1
    return found
