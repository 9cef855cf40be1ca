"""Whole topics and commits, read for set arithmetic."""

from collections import Counter

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas import AffectEvent


class Contents(msgspec.Struct):
    """Everything on the topics, by record key (each input record has a key of its own)."""

    posts: Counter[bytes]
    events: dict[bytes, list[AffectEvent]]
    dead: Counter[bytes]
    uncommitted: int
    """Input records behind the group's commits."""


async def contents(
    bootstrap: str, group: str, *, posts: str, events: str, dead_letters: str
) -> Contents:
    """Read the three topics from their beginnings to their ends as they are now."""
    found = Contents(posts=Counter(), events={}, dead=Counter(), uncommitted=0)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False
    )
    await consumer.start()
    try:
        await consumer.topics()
        places = {
            topic: [TopicPartition(topic, n) for n in consumer.partitions_for_topic(topic) or ()]
            for topic in (posts, events, dead_letters)
        }
        everything = [place for group_of in places.values() for place in group_of]
        consumer.assign(everything)
        ends = await consumer.end_offsets(everything)
        for place in everything:
            consumer.seek(place, 0)
        while any([await consumer.position(place) < ends[place] for place in everything]):
            for place, records in (await consumer.getmany(timeout_ms=200)).items():
                for record in records:
                    if place.topic == posts:
                        found.posts[record.key] += 1
                    elif place.topic == dead_letters:
                        found.dead[record.key] += 1
                    else:
                        event = msgspec.json.decode(record.value, type=AffectEvent)
                        found.events.setdefault(record.key, []).append(event)
        for place in places[posts]:
            found.uncommitted += ends[place] - (await consumer.committed(place) or 0)
    finally:
        await consumer.stop()
    return found
