"""Reads the output topics, as a dashboard would, into the tally."""

from typing import NoReturn

import msgspec
from aiokafka import AIOKafkaConsumer

from emostream.demo.tally import Tally
from schemas import AffectEvent

_decode = msgspec.json.Decoder(AffectEvent).decode


async def watch(bootstrap: str, tally: Tally, *, events: str, dead_letters: str) -> NoReturn:
    """Count every event and dead letter from the topics' beginning, until cancelled.

    No group: it commits nothing and disturbs nobody.
    """
    consumer = AIOKafkaConsumer(
        events,
        dead_letters,
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,  # a live view, not a bulk reader
    )
    await consumer.start()
    try:
        while True:
            for place, records in (await consumer.getmany(timeout_ms=200)).items():
                for record in records:
                    if place.topic == events:
                        tally.event_seen(_decode(record.value))
                    else:
                        tally.dead.add(record.key.decode())
    finally:
        await consumer.stop()
