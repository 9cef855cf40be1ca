"""A feed or a listing, polled: politely, only for what is new."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

import msgspec

from producer.live import source as reasons
from producer.live.backoff import Backoff
from producer.live.feed.address import host_of, name_of, shown
from producer.live.feed.fetcher import Broken, Fetched, Fetcher
from producer.live.feed.listing import SINCE, UNTIL
from producer.live.items import KNOWN, Found, Item, Passed
from producer.live.source import SourceFailed, SourceRefused, SourceWatcher
from runtime.clock import Clock, sleep

_OVERLAP_S = 600
"""Listings are indexes: an item may be found some minutes after the time that it has."""
_TRIES = 3
_MOST_PAGES = 50
"""Of one poll, the newest: a listing may never end."""
_AT_ONCE = 500
"""What is passed over waits for nothing: after so many all else gets its turn. Some 5 ms."""
_JITTER = 0.1


class Reader(Protocol):
    """Reads what came as items."""

    async def read(self, fetched: Fetched) -> list[Item]:
        """Read it, oldest first.

        Raises:
            Broken: it is not what it should be.
        """


@dataclass(frozen=True, kw_only=True)
class Polling:
    """How often, and how much at once."""

    interval_s: float = 300.0
    page: int = 1_000
    """Items of a full answer: then older ones are asked for, where the address has `{until}`."""


class FeedSource:
    """Everything that one address has to give."""

    def __init__(
        self,
        url: str,
        *,
        polling: Polling,
        fetcher: Fetcher,
        reader: Reader,
        watcher: SourceWatcher,
        clock: Clock,
        rng: random.Random,
        name: str = "",
    ) -> None:
        """`name` is what somebody calls it; empty: its host, and a mark for the address."""
        self.name = name_of(url, name)
        self._url = url
        self._polling = polling
        self._fetcher = fetcher
        self._reader = reader
        self._watcher = watcher
        self._clock = clock
        self._rng = rng
        self._backoff = Backoff(clock, rng, first_s=2.0, most_s=polling.interval_s)
        self._high = 0
        self._working = False
        self._ever = False

    async def items(self, since: int) -> AsyncGenerator[Item, None]:
        """Yield what is there, then what is new; see `Source`."""
        self._high = since
        self._fetcher.forget()
        while True:
            try:
                async with aclosing(self._poll()) as items:
                    async for item in items:
                        yield item
            except (Broken, SourceRefused) as fault:
                await self._failed(fault)
            else:
                self._backoff.over()
                spread = self._rng.uniform(1 - _JITTER, 1 + _JITTER)
                await sleep(self._clock, self._polling.interval_s * spread)

    async def _poll(self) -> AsyncGenerator[Item, None]:
        until = int(self._clock.wall()) + _OVERLAP_S
        since = max(0, self._high // 1_000_000 - _OVERLAP_S)
        pages: list[list[Item]] = []
        room = _MOST_PAGES * self._polling.page
        while room > 0:
            url = self._url.replace(SINCE, str(since)).replace(UNTIL, str(until))
            fetched = await self._fetcher.fetch(url)
            items = [] if fetched is None else await self._reader.read(fetched)
            self._works()  # and not before: a page that is no feed is a wrong address
            pages.append(items)
            room -= max(len(items), self._polling.page)  # a page may hold more than it should
            oldest = min((one.position for one in items if one.position), default=None)
            if len(items) < self._polling.page or oldest is None or UNTIL not in self._url:
                break
            following = oldest // 1_000_000 + 1
            if following >= until:  # a whole page of one second
                break
            until = following
        else:
            self._watcher.gap(self.name, until - since, "more pages than are read at once")
        # From the oldest page on: the place to go on from must not pass what wasn't yielded yet.
        found = _last_of_each([item for items in reversed(pages) for item in items])
        for count, item in enumerate(found):
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)
            yield self._seen(item)
        self._fetcher.taken()

    def _seen(self, item: Item) -> Item:
        if item.position is None:
            return item
        if SINCE not in self._url or item.position > self._clock.wall() * 1e6 + 300_000_000:
            return msgspec.structs.replace(item, position=None)
        self._high = max(self._high, item.position)
        return item

    def _works(self) -> None:
        if not self._working:
            self._working = self._ever = True
            self._watcher.connected(self.name, host_of(self._url))

    async def _failed(self, fault: Broken | SourceRefused) -> None:
        reason = fault.reason if isinstance(fault, Broken) else reasons.REFUSED
        self._working = False
        self._watcher.disconnected(self.name, reason)
        if not self._ever:
            if isinstance(fault, SourceRefused):
                raise fault
            if self._backoff.failures + 1 >= _TRIES and reason != reasons.RATE_LIMITED:
                raise SourceFailed(f"{shown(self._url)} gives no feed: {fault}") from None
        asked_s = fault.wait_s if isinstance(fault, Broken) else self._polling.interval_s
        pause_s = asked_s + self._backoff.next_s()
        self._watcher.waits(self.name, pause_s, reason)
        await sleep(self._clock, pause_s)


def _last_of_each(items: list[Item]) -> list[Item]:
    """Pass over all entries with one id but the last: each poll would find the two different again.

    Some feeds give several entries one id; then they are versions of one post.
    """
    last = {item.post.id: item for item in items if isinstance(item, Found)}
    return [
        item
        if not isinstance(item, Found) or last[item.post.id] is item
        else Passed(reason=KNOWN, position=item.position, at=item.at)
        for item in items
    ]
