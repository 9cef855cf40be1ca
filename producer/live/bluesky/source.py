"""Bluesky's posts by Jetstream: over several hosts, so that none of them is a single truth.

A host may fall silent, or go blind for some collections while its clock runs on (52 minutes of
posts were lost that way once). So only *wanted* events, posts, count as life and move the place
from which the next connection reads.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

from producer.live import source as reasons
from producer.live.backoff import Backoff
from producer.live.bluesky.connection import Broken, Connection, Jetstream
from producer.live.bluesky.hosts import Hosts
from producer.live.bluesky.message import MessageReader
from producer.live.items import REPLAYED, Item, Passed
from producer.live.source import SourceFailed, SourceRefused, SourceWatcher
from runtime.clock import Clock, sleep, wait_all

_ROUNDS = 3
"""Tries of each host before the first connection: then there is no network, or no such host."""
_REFUSALS = frozenset({301, 302, 303, 307, 308, 400, 401, 403, 404})
"""HTTP statuses that the same question gets again."""
_GAP_S = 60.0
"""The whole network is never silent for so long: a host that begins later has no older posts."""
_KEPT_S = 3600.0
"""Every host keeps more than this: what is younger and missing was never there."""
_STEADY_S = 30.0
"""A connection that lasted so long is no failure in a row."""
_AHEAD_US = 300_000_000
"""A time so far ahead of our clock is a mistake of the host's: as a place to go on from it would
leave out all until then."""


@dataclass(frozen=True, kw_only=True)
class BlueskyOptions:
    """How the hosts are read."""

    urls: Sequence[str]
    """Addresses, `wss://HOST/subscribe`."""
    silence_s: float = 30.0
    """Without a post for so long a host is left. There are 25 a second, on all of Bluesky."""
    rewind_s: float = 10.0
    """How far back the next connection begins: hosts stamp one event at different times."""


class BlueskySource:
    """All posts of Bluesky that a reader lets through."""

    name = "bluesky"

    def __init__(
        self,
        options: BlueskyOptions,
        *,
        jetstream: Jetstream,
        reader: MessageReader,
        watcher: SourceWatcher,
        clock: Clock,
        backoff: Backoff,
    ) -> None:
        self._options = options
        self._hosts = Hosts(options.urls)
        self._jetstream = jetstream
        self._reader = reader
        self._watcher = watcher
        self._clock = clock
        self._backoff = backoff
        self._last_wanted = 0
        self._ever = False
        self._refusals: dict[str, int] = {}

    async def items(self, since: int) -> AsyncGenerator[Item, None]:
        """Yield posts, edits and deletions from `since` on; see `Source`."""
        self._last_wanted = since
        while True:
            url = self._hosts.current
            cursor = self._last_wanted - int(self._options.rewind_s * 1e6)
            connected_at = self._clock.monotonic()
            asked_s, reason = 0.0, reasons.CLOSED
            try:
                async with self._jetstream.connect(url, cursor) as connection:
                    self._ever = True
                    connected_at = self._clock.monotonic()
                    self._watcher.connected(self.name, urlsplit(url).netloc)
                    async with aclosing(self._read(connection, cursor)) as reading:
                        async for item in reading:
                            yield item
            except Broken as broken:
                asked_s, reason = broken.wait_s, broken.reason
                self._watcher.disconnected(self.name, reason)
                self._give_up_where_nothing_works(url, broken)
            if self._clock.monotonic() - connected_at >= _STEADY_S:
                self._backoff.over()
            # Mostly 0, for the next host: only that one is left alone which asked for it.
            pause_s = self._hosts.leave(self._clock.monotonic(), for_s=asked_s)
            pause_s += self._backoff.next_s()
            self._watcher.waits(self.name, pause_s, reason)
            await sleep(self._clock, pause_s)

    async def _read(self, connection: Connection, cursor: int) -> AsyncGenerator[Item, None]:
        """Yield until the connection breaks or is silent, which raises `Broken`."""
        # Only time that is waited here counts: while Kafka makes us wait, the host isn't silent.
        patience_s = self._options.silence_s
        first = True
        while True:
            asked_at = self._clock.monotonic()
            message = self._reader.read(await self._receive(connection, patience_s))
            patience_s -= self._clock.monotonic() - asked_at
            if message.time_us and message.time_us < cursor:
                # Some hosts begin up to an hour before what was asked for.
                yield Passed(reason=REPLAYED)
                continue
            if not message.wanted:
                yield message.item
                continue
            patience_s = self._options.silence_s
            if first:
                first = False
                self._look_for_gap(cursor, message.time_us)
            now_us = int(self._clock.wall() * 1e6)
            if message.time_us > now_us + _AHEAD_US:
                yield _without_position(message.item)
                continue
            # One host's clock may be ahead of the next one's: from a place later than now, the next
            # would leave out all until then.
            place = min(message.time_us, now_us)
            self._last_wanted = max(self._last_wanted, place)
            yield message.item if place == message.time_us else _placed(message.item, place)

    async def _receive(self, connection: Connection, patience_s: float) -> bytes | None:
        receiving = asyncio.ensure_future(connection.receive())
        try:
            late = await wait_all(self._clock, (receiving,), patience_s)
        finally:
            receiving.cancel()
        if late:
            await asyncio.gather(receiving, return_exceptions=True)
            raise Broken(reasons.SILENT, f"no post for {self._options.silence_s:g} s")
        return receiving.result()

    def _look_for_gap(self, cursor: int, first: int) -> None:
        """A cursor that is too old is silently taken for the oldest that there is."""
        missing_s = (first - cursor) / 1e6 - self._options.rewind_s
        age_s = self._clock.wall() - cursor / 1e6
        if missing_s > _GAP_S and age_s > _KEPT_S:
            self._watcher.gap(self.name, missing_s, "older than the host keeps")

    def _give_up_where_nothing_works(self, url: str, broken: Broken) -> None:
        """End where no host ever worked. Once one has, it is waited for without end."""
        if self._ever or broken.reason == reasons.RATE_LIMITED:  # which is an answer
            return
        host = urlsplit(url).netloc
        if broken.status in _REFUSALS:
            self._refusals[host] = broken.status
            if len(self._refusals) == len(self._hosts):
                raise SourceRefused(
                    f"no Jetstream at {host}: HTTP status {broken.status}; is it the right --host?"
                )
        if self._backoff.failures + 1 >= _ROUNDS * len(self._hosts):
            raise nobody_answers(len(self._hosts), url, broken)


def nobody_answers(hosts: int, url: str, broken: Broken) -> SourceFailed:
    """Say that none of so many hosts could be reached; `url` is the last that was tried."""
    which = "none of the hosts" if hosts > 1 else "no host"
    return SourceFailed(
        f"{which} of Jetstream can be reached; the last one, {urlsplit(url).netloc}: {broken}."
        " Is there a network? --host names another one"
    )


def _placed(item: Item, position: int) -> Item:
    if item.position is None:
        return item
    return msgspec.structs.replace(item, position=position)


def _without_position(item: Item) -> Item:
    return msgspec.structs.replace(item, position=None, at=None)
