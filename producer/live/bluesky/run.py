"""Bluesky into Kafka: the source with its connections, under the service."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from producer.live.backoff import Backoff
from producer.live.bluesky.connection import AiohttpJetstream, Broken, jetstream_session
from producer.live.bluesky.message import MessageReader
from producer.live.bluesky.source import BlueskyOptions, BlueskySource, nobody_answers
from producer.live.meter import Meter
from producer.live.selection import Selection
from producer.live.service import LiveReport, LiveSettings, run_live
from producer.live.source import SourceWatcher
from runtime.clock import SystemClock
from runtime.kafka.connection import Broker


@dataclass(frozen=True, kw_only=True)
class BlueskyFilter:
    """Which posts."""

    langs: Sequence[str] = ()
    """In one of these languages; none: in any."""
    keywords: Sequence[str] = ()
    """With one of these; none: with any words."""
    without_labels: Sequence[str] = ("bot",)
    """Without any of these labels of their authors."""


async def run_bluesky(
    wanted: BlueskyFilter,
    urls: Sequence[str],
    settings: LiveSettings,
    broker: Broker,
    *,
    stop: asyncio.Event,
    on_start: Callable[[Meter], None] = lambda _: None,
    on_ack: Callable[[str], None] | None = None,
    silence_s: float = 30.0,
) -> LiveReport:
    """Publish Bluesky's posts from the hosts at `urls` until `stop` is set; see `run_live`."""
    clock = SystemClock()
    rng = random.Random()  # noqa: S311 - spreads clients, guards nothing
    async with jetstream_session() as session:

        def make(watcher: SourceWatcher) -> list[BlueskySource]:
            return [
                BlueskySource(
                    BlueskyOptions(urls=urls, silence_s=silence_s),
                    jetstream=AiohttpJetstream(session, clock),
                    reader=MessageReader(
                        Selection(wanted.langs, wanted.keywords),
                        left_out_labels=wanted.without_labels,
                    ),
                    watcher=watcher,
                    clock=clock,
                    backoff=Backoff(clock, rng),
                )
            ]

        return await run_live(
            make,
            settings,
            broker,
            names=[BlueskySource.name],
            stop=stop,
            on_start=on_start,
            on_ack=on_ack,
            clock=clock,
            rng=rng,
        )


async def check_reachable(urls: Sequence[str]) -> None:
    """Return once one of these hosts took a connection.

    Raises:
        SourceFailed: none did.
    """
    broken = Broken("", "")
    clock = SystemClock()
    async with jetstream_session() as session:
        for url in urls:
            try:
                async with AiohttpJetstream(session, clock).connect(url, None):
                    return
            except Broken as error:
                broken = error
    raise nobody_answers(len(urls), urls[-1], broken)
