"""Reads the output topics, as a dashboard would, into the tally."""

from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

import msgspec
from aiokafka import AIOKafkaConsumer

from emostream.demo.tally import Tally
from schemas import AffectEvent
from schemas.alert import Alert

_event = msgspec.json.Decoder(AffectEvent).decode
_alert = msgspec.json.Decoder(Alert).decode


async def watch(
    bootstrap: str,
    tally: Tally,
    *,
    events: str,
    dead_letters: str,
    alerts: str,
    seen: Callable[[], None],
) -> NoReturn:
    """Count every event, dead letter and alert from the topics' beginning, until cancelled.

    `seen` is called after each batch of news. No group: it commits nothing and disturbs nobody.
    """
    consumer = AIOKafkaConsumer(
        events,
        dead_letters,
        alerts,
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",  # with exactly-once, what was aborted isn't an event
        fetch_max_wait_ms=50,  # a live view, not a bulk reader
    )
    await consumer.start()
    try:
        while True:
            for place, records in (await consumer.getmany(timeout_ms=200)).items():
                for record in records:
                    if place.topic == events:
                        if record.value is not None:
                            tally.event_seen(_event(record.value))
                    elif place.topic == dead_letters:
                        tally.dead.add(record.key.decode())
                    elif record.value is not None:
                        # What people say of an alert is on its topic, too: no Alert, not shown.
                        with suppress(msgspec.ValidationError):
                            tally.alert_seen(_alert(record.value))
            seen()
    finally:
        await consumer.stop()
