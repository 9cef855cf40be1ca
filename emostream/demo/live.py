"""`demo --live`: what people write now, instead of the story."""

import asyncio
import time

import msgspec

from emostream.demo.tally import Tally
from emostream.exits import CommandError
from producer.live import LiveSettings
from producer.live.bluesky.run import BlueskyFilter, run_bluesky
from runtime.kafka.connection import Broker
from runtime.settings.telemetry import Http


class LiveChoice(msgspec.Struct, frozen=True, kw_only=True):
    """Which of Bluesky's posts."""

    urls: tuple[str, ...]
    """Jetstream's hosts."""
    langs: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()


async def send_live(
    choice: LiveChoice,
    tally: Tally,
    acked: list[str],
    bootstrap: str,
    *,
    posts: int,
    topic: str = "posts",
) -> None:
    """Send so many posts as they come, by the very source of `emostream produce bluesky`.

    Edits and deletions of them come on top.

    Raises:
        CommandError: the source or Kafka failed.
    """
    known: set[str] = set()
    stop = asyncio.Event()

    def on_ack(key: str) -> None:
        if key in known:  # an edit or a deletion
            return
        known.add(key)
        tally.sent_at[key] = time.monotonic()
        acked.append(key)
        tally.sent += 1
        if len(known) >= posts:
            stop.set()

    report = await run_bluesky(
        BlueskyFilter(langs=choice.langs, keywords=choice.keywords),
        choice.urls,
        LiveSettings(topic=topic, http=Http(port=0)),
        Broker(bootstrap=bootstrap),
        stop=stop,
        on_ack=on_ack,
    )
    if report.failure is not None:
        raise CommandError(report.failure, status=report.exit_code)
