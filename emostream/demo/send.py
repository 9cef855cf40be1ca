"""Sends the story: history as fast as it is read, then the live part by the clock."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import msgspec

from emostream.demo.story import Planned, Role
from emostream.demo.tally import Tally
from runtime.kafka.producing import BoundedProducer, Outgoing
from schemas import Post

_encode = msgspec.json.Encoder().encode


class Sender:
    """Hands planned posts to Kafka and notes in the tally when."""

    def __init__(self, sends: BoundedProducer, tally: Tally, topic: str) -> None:
        self._sends = sends
        self._tally = tally
        self._topic = topic
        self.acked: list[str] = []
        """Ids that Kafka acknowledged."""

    async def burst(
        self,
        posts: Sequence[Planned],
        rate: float | None,
        room: Callable[[Planned], Awaitable[None]],
    ) -> None:
        """Send these one after the other, each once there is room for it.

        At `rate` a second at most; None: as fast as it goes.
        """
        start = time.monotonic()
        for number, one in enumerate(posts):
            if rate is not None:
                await asyncio.sleep(start + number / rate - time.monotonic())
            await room(one)
            await self._send(one)
        await self._sends.drain()

    async def play(self, posts: Sequence[Planned], begins: Callable[[Role], None]) -> None:
        """Send each at its time from now on; `begins` is told of each role's first post."""
        start = time.monotonic()
        told: set[Role] = set()
        for one in posts:
            await asyncio.sleep(start + one.at_s - time.monotonic())
            if one.role not in told:
                told.add(one.role)
                begins(one.role)
            await self._send(one)
        await self._sends.drain()

    async def _send(self, one: Planned) -> None:
        post = one.post
        if one.role != "history":  # it queues, and would say nothing of the service's latency
            self._tally.sent_at[post.id] = time.monotonic()
        await self._sends.send(
            Outgoing(topic=self._topic, key=post.id.encode(), value=_encode(post)),
            on_ack=lambda: self._acknowledged(post.id),
        )

    def _acknowledged(self, post_id: str) -> None:
        self.acked.append(post_id)
        self._tally.sent += 1


class UnderWay:
    """Posts, in the order of their times, that didn't come out yet."""

    def __init__(self, ended: Callable[[str], bool], within: timedelta) -> None:
        """`ended` tells of a post's id whether it came out."""
        self._ended = ended
        self._within = within
        self._posts: deque[Post] = deque()

    def takes(self, one: Planned) -> bool:
        """Whether the next one lies no further than `within` behind the first of them."""
        posts = self._posts
        while posts and self._ended(posts[0].id):
            posts.popleft()
        first, at = posts[0].created_at if posts else None, one.post.created_at
        return first is None or at is None or at - first <= self._within

    def add(self, one: Planned) -> None:
        """It is sent."""
        self._posts.append(one.post)


def thinned(posts: Sequence[Planned], keep: int) -> list[Planned]:
    """`keep` of them, evenly over their whole time; all if there are no more."""
    if keep >= len(posts):
        return list(posts)
    return [posts[number * len(posts) // keep] for number in range(max(keep, 0))]
