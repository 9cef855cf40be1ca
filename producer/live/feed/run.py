"""Feeds into Kafka: a source for each address, under the service."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from producer.live import source as reasons
from producer.live.feed.address import host_of, name_of, shown
from producer.live.feed.entries import NotAFeed, read_entries
from producer.live.feed.fetcher import Broken, Fetched, Fetcher, feed_session
from producer.live.feed.listing import ListingReader, Mapping, NotAListing
from producer.live.feed.source import FeedSource, Polling, Reader
from producer.live.items import Found, Item, Passed
from producer.live.meter import Meter
from producer.live.selection import Selection
from producer.live.service import LiveReport, LiveSettings, run_live
from producer.live.source import SourceWatcher
from runtime.clock import SystemClock
from runtime.kafka.connection import Broker


@dataclass(frozen=True, kw_only=True)
class FeedOptions:
    """How feeds are read."""

    mapping: Mapping | None = None
    """The addresses are JSON listings of this shape; None: RSS or Atom."""
    source: str = ""
    """The posts' `source`; empty: the feed's host."""
    keywords: Sequence[str] = ()
    """Entries with one of these; none: all."""
    polling: Polling = field(default_factory=Polling)
    private_hosts: bool = False
    """Names may lead to this machine and to private networks."""
    names: dict[str, str] = field(default_factory=dict)
    """What some addresses' sources are called: in the records' headers, in logs and in labels."""


class _Entries:
    """RSS and Atom, parsed in a thread."""

    def __init__(self, url: str, source: str, selection: Selection) -> None:
        self._url = url
        self._source = source
        self._selection = selection

    async def read(self, fetched: Fetched) -> list[Item]:
        try:
            items = await asyncio.to_thread(
                read_entries, fetched, feed=shown(self._url), source=self._source
            )
        except NotAFeed:
            raise Broken(reasons.REFUSED, "neither RSS nor Atom") from None
        return [self._chosen(item) for item in items]

    def _chosen(self, item: Item) -> Item:
        if not isinstance(item, Found):
            return item
        reason = self._selection.passes_over(item.post, ())
        return item if reason is None else Passed(reason=reason, at=item.at)


class _Listing:
    """JSON by a mapping, read in a thread."""

    def __init__(self, reader: ListingReader) -> None:
        self._reader = reader

    async def read(self, fetched: Fetched) -> list[Item]:
        try:
            return await asyncio.to_thread(self._reader.read, fetched.body)
        except NotAListing as error:
            raise Broken(reasons.REFUSED, str(error)) from None


async def run_feeds(
    urls: Sequence[str],
    options: FeedOptions,
    settings: LiveSettings,
    broker: Broker,
    *,
    stop: asyncio.Event,
    on_start: Callable[[Meter], None] = lambda _: None,
) -> LiveReport:
    """Publish what these addresses give until `stop` is set; see `run_live`.

    Raises:
        ModuleNotFoundError: RSS and Atom need the extra `feeds`.
    """
    if options.mapping is None:
        import feedparser  # noqa: F401, PLC0415 - fails here, before anything is begun
    clock = SystemClock()
    rng = random.Random()  # noqa: S311 - spreads clients, guards nothing
    async with feed_session(private_hosts=options.private_hosts) as session:

        def make(watcher: SourceWatcher) -> list[FeedSource]:
            return [
                FeedSource(
                    url,
                    polling=options.polling,
                    fetcher=Fetcher(session, clock, private_hosts=options.private_hosts),
                    reader=_reader(url, options),
                    watcher=watcher,
                    clock=clock,
                    rng=rng,
                    name=options.names.get(url, ""),
                )
                for url in urls
            ]

        return await run_live(
            make,
            settings,
            broker,
            names=[name_of(url, options.names.get(url, "")) for url in urls],
            stop=stop,
            on_start=on_start,
            clock=clock,
            rng=rng,
        )


def _reader(url: str, options: FeedOptions) -> Reader:
    selection = Selection((), options.keywords)
    source = options.source or host_of(url)
    if options.mapping is None:
        return _Entries(url, source, selection)
    return _Listing(ListingReader(options.mapping, selection, source=source))
