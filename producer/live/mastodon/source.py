"""One timeline of a Mastodon server: streamed, and caught up with after a gap.

The stream has no replay. So a connection begins with the timeline: from the last id, less ten
minutes, up to now; then the stream is opened; then the timeline once more for the moments between.
Edits and deletions made during a gap can't be found.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from producer.live.backoff import Backoff
from producer.live.items import Found, Item
from producer.live.mastodon.instance import Broken, Instance
from producer.live.mastodon.status import StatusReader
from producer.live.mastodon.timeline import Timeline, id_at, time_of_id
from producer.live.source import (
    CLOSED,
    RATE_LIMITED,
    REFUSED,
    SourceFailed,
    SourceRefused,
    SourceWatcher,
)
from runtime.clock import Clock, sleep

_OVERLAP_US = 600_000_000
"""Ids are not in the order of arrival: a post that another server delivers late has an id of the
time when it was written. Ten minutes is what federation takes on a bad day."""
_MINUTE_US = 60_000_000
"""The same between the timeline's end and the stream's beginning: moments, not hours."""
_CATCH_UP_S = 24 * 3600.0
"""How far back is caught up: at 40 posts a request and 300 requests in five minutes, a day of a
large server takes some hours."""
_LOOKED_AT = 10
"""Pages that are read to see whether anything was missed: 400 statuses."""
_TRIES = 3
"""Before the first connection; then there is no such server."""
_STEADY_S = 60.0
_REFUSALS = 10
_REFUSED_S = 30.0
"""Ten refusals, half a minute apart, end a source that worked before."""


class MastodonSource:
    """Posts of one timeline that a reader lets through."""

    def __init__(
        self,
        instance: Instance,
        timeline: Timeline,
        *,
        reader: StatusReader,
        watcher: SourceWatcher,
        clock: Clock,
        backoff: Backoff,
    ) -> None:
        self.name = name_of(instance.host, timeline)
        self._instance = instance
        self._timeline = timeline
        self._reader = reader
        self._watcher = watcher
        self._clock = clock
        self._backoff = backoff
        self._high = 0
        """The newest position seen, Unix microseconds."""
        self._streamed_until = 0
        """When the last stream ended, Unix microseconds: a hashtag may be silent for days."""
        self._ever = False

    async def items(self, since: int) -> AsyncGenerator[Item, None]:
        """Yield posts, edits and deletions from `since` on; see `Source`."""
        self._high = since
        refusals = 0
        while True:
            connected_at = self._clock.monotonic()
            wait_s, reason = 0.0, CLOSED
            try:
                async with aclosing(self._connection()) as items:
                    async for item in items:
                        yield item
            except SourceRefused:
                # Once it worked: a proxy in front of it may say anything for a while.
                refusals += 1
                if not self._ever or refusals > _REFUSALS:
                    raise
                wait_s, reason = _REFUSED_S, REFUSED
                self._watcher.disconnected(self.name, reason)
            except Broken as broken:
                refusals = 0
                wait_s, reason = broken.wait_s, broken.reason
                self._watcher.disconnected(self.name, reason)
                if self._gives_up(reason):
                    raise SourceFailed(
                        f"no Mastodon server at {self._instance.host}: {broken}."
                        " Is there a network, and is it the right --instance?"
                    ) from None
            if self._clock.monotonic() - connected_at >= _STEADY_S:
                self._backoff.over()
            wait_s += self._backoff.next_s()
            self._watcher.waits(self.name, wait_s, reason)
            await sleep(self._clock, wait_s)

    def _gives_up(self, reason: str) -> bool:
        """Whether there is no such server. One that asks to wait is one."""
        tried = self._backoff.failures + 1 >= _TRIES
        return tried and not self._ever and reason != RATE_LIMITED

    async def _connection(self) -> AsyncGenerator[Item, None]:
        self._tell_of_limit()
        base = await self._instance.streaming_url(self._timeline)
        start = self._high
        oldest = int((self._clock.wall() - _CATCH_UP_S) * 1e6)
        if start < oldest - _MINUTE_US:
            first = await self._first_missed(max(start, self._streamed_until), oldest - _OVERLAP_US)
            if first is not None:
                self._watcher.gap(self.name, (oldest - first) / 1e6, "more than a day ago")
            self._high = start = oldest  # a gap is told once, however often it connects
        # The stream opens only when the timeline is read to its end: while a day is caught up,
        # what it sends would have to be kept.
        async with aclosing(self._catch_up(id_at(start - _OVERLAP_US))) as missed:
            async for item in missed:
                yield item
        last = id_at(self._high - _MINUTE_US)
        stream = self._instance.stream(base, self._timeline.stream, self._timeline.stream_params)
        streams = False
        try:
            async with aclosing(stream) as events:
                async for event in events:
                    if event is not None:
                        yield self._seen(self._reader.event(event.name, event.data))
                        continue
                    self._ever = True
                    self._watcher.connected(self.name, self._instance.host)
                    async with aclosing(self._catch_up(last)) as missed:
                        async for item in missed:
                            yield item
                    streams = True
        finally:
            if streams:
                self._streamed_until = int(self._clock.wall() * 1e6)

    async def _first_missed(self, since: int, before: int) -> int | None:
        """Give when the first post between these times was written; None where there was none.

        All in Unix microseconds. A quiet timeline's last post may be of last week, and nothing
        missed. Whatever follows `_LOOKED_AT` pages of what is passed over counts as a post.
        """
        if since >= before:
            return None
        at, looked = since, 0
        async with aclosing(self._pages(id_at(since + 1_000))) as pages:
            async for items in pages:
                for item in items:
                    at = item.position or at
                    if at >= before:
                        return None
                    if isinstance(item, Found):
                        return at
                looked += 1
                if looked == _LOOKED_AT:
                    return at
        return None

    async def _catch_up(self, min_id: int) -> AsyncGenerator[Item, None]:
        """Yield what follows an id, oldest first, until there is no more."""
        async with aclosing(self._pages(min_id)) as pages:
            async for items in pages:
                for item in items:
                    yield self._seen(item)

    async def _pages(self, min_id: int) -> AsyncGenerator[list[Item], None]:
        while True:
            self._tell_of_limit()
            page = await self._instance.page(self._timeline.path, self._timeline.params, min_id)
            if not page.statuses:
                return
            yield [self._reader.status(status) for status in reversed(page.statuses)]
            following = page.next_min_id or _highest(page.statuses)
            if following is None or following <= min_id:
                return  # a server that gives the same again
            min_id = following

    def _tell_of_limit(self) -> None:
        """Say it where the next request waits until the server's limit allows it."""
        self._watcher.waits(self.name, self._instance.wait_s, RATE_LIMITED)

    def _seen(self, item: Item) -> Item:
        """Note how far it is. A position ahead of our clock is a mistake of the server's."""
        if item.position is None:
            return item
        if item.position > self._clock.wall() * 1e6 + 300_000_000:
            return msgspec.structs.replace(item, position=None)
        self._high = max(self._high, item.position)
        return item


def name_of(host: str, timeline: Timeline) -> str:
    """Name the source of a timeline."""
    return f"mastodon:{host}/{timeline.label}"


def _highest(statuses: list[object]) -> int | None:
    ids = [one.get("id") for one in statuses if isinstance(one, dict)]
    return max((int(str(one)) for one in ids if time_of_id(one) is not None), default=None)
