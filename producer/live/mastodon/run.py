"""Mastodon into Kafka: a source for each timeline, under the service."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp

from producer.live.backoff import Backoff
from producer.live.http import address
from producer.live.mastodon.instance import Instance
from producer.live.mastodon.source import MastodonSource, name_of
from producer.live.mastodon.status import StatusReader
from producer.live.mastodon.timeline import Timeline
from producer.live.meter import Meter
from producer.live.selection import Selection
from producer.live.service import LiveReport, LiveSettings, run_live
from producer.live.source import SourceWatcher
from runtime.clock import SystemClock
from runtime.kafka.connection import Broker


@dataclass(frozen=True, kw_only=True)
class Server:
    """What is read, and as whom."""

    url: str
    """`https://HOST`."""
    timelines: Sequence[Timeline]
    token: str = field(default="", repr=False)
    """A user's access token; servers since 4.2 stream to nobody without."""

    def __post_init__(self) -> None:
        """Refuse to show the token to the network, with a ValueError."""
        parts = urlsplit(self.url)
        local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if self.token and parts.scheme == "http" and not local:
            raise ValueError("--instance http://…: a token needs https")
        if any(c.isspace() or not c.isprintable() for c in self.token):
            raise ValueError("the token holds spaces or line breaks: is it the right file?")


@dataclass(frozen=True, kw_only=True)
class MastodonFilter:
    """Which posts."""

    langs: Sequence[str] = ()
    """In one of these languages; none: in any."""
    keywords: Sequence[str] = ()
    """With one of these; none: with any words."""
    bots: bool = False
    """Posts of automated accounts, too."""


def instance_url(instance: str) -> str:
    """Give a server's address: `https://HOST` unless it names the scheme itself.

    Raises:
        ValueError: it is no host, and no address without a path.
    """
    if "@" in instance or "?" in instance:  # before anything that would show them
        raise ValueError("--instance: an address without credentials; the token has its own option")
    parts = address(instance if "://" in instance else f"https://{instance}")
    if parts is None or parts.scheme not in ("http", "https") or parts.path not in ("", "/"):
        raise ValueError(f"--instance {instance!r}: name a host, such as example.social")
    return f"{parts.scheme}://{parts.netloc}"


def mastodon_session() -> aiohttp.ClientSession:
    """Make the session for `Instance`: as many connections as there are timelines, and no cookies.

    Each stream keeps one; with a hundred in all, as is aiohttp's default, no page could be read.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
    )


async def run_mastodon(
    server: Server,
    wanted: MastodonFilter,
    settings: LiveSettings,
    broker: Broker,
    *,
    stop: asyncio.Event,
    on_start: Callable[[Meter], None] = lambda _: None,
) -> LiveReport:
    """Publish timelines of a server until `stop` is set; see `run_live`."""
    clock = SystemClock()
    rng = random.Random()  # noqa: S311 - spreads clients, guards nothing
    async with mastodon_session() as session:
        instance = Instance(server.url, server.token, session=session, clock=clock)

        def make(watcher: SourceWatcher) -> list[MastodonSource]:
            selection = Selection(wanted.langs, wanted.keywords)
            return [
                MastodonSource(
                    instance,
                    timeline,
                    reader=StatusReader(
                        instance.host, selection, sides=timeline.sides, bots=wanted.bots
                    ),
                    watcher=watcher,
                    clock=clock,
                    backoff=Backoff(clock, rng, most_s=60.0),
                )
                for timeline in server.timelines
            ]

        return await run_live(
            make,
            settings,
            broker,
            names=[name_of(instance.host, one) for one in server.timelines],
            stop=stop,
            on_start=on_start,
            clock=clock,
            rng=rng,
        )
