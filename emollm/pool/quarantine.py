"""Prompts that failed too often to be asked in company: they are asked alone, in turn."""

import math
from collections import deque
from collections.abc import Hashable

from emollm.pool.queue import Call, Pending

FAILURES_IN_COMPANY = 3
"""A prompt that failed so often in company is asked alone. That is no verdict yet."""
COMPANY_ODDS = 2e-4
"""On a server that fails often it takes more: one prompt in five thousand comes here by luck, for
each costs the server's whole attention for a moment. With one in a thousand, a server that fails a
tenth of its requests lost one in twenty of its answers to that (bench/README.md)."""


class Quarantine:
    """Prompts that are asked alone only, one prompt of a post after the other.

    A post's other prompts wait for the first one's verdict: it is mostly theirs, too. A post that
    was begun goes before those that weren't.
    """

    def __init__(self) -> None:
        self._posts: dict[Hashable, deque[Pending]] = {}
        self._due: dict[Hashable, float] = {}
        """When each post may be tried; one that is being tried isn't in here."""

    def __len__(self) -> int:
        return sum(map(len, self._posts.values()))

    def next_due(self) -> float:
        """When the next one may be tried, on the caller's clock; infinity without any."""
        return min(self._due.values(), default=math.inf)

    def add(self, pending: Pending, due: float) -> None:
        """Take a prompt in: behind those of its post, but first if there is evidence already."""
        post = post_of(pending)
        if post in self._posts:
            waiting = self._posts[post]
            waiting.append(pending) if pending.evidence is None else waiting.appendleft(pending)
        else:
            self._posts[post] = deque((pending,))
            self._due[post] = due

    def take(self, now: float) -> Pending | None:
        """Take out what is to be tried now; follow with `put_back` or `done`."""
        ready = [post for post, due in self._due.items() if due <= now]
        if not ready:
            return None
        post = max(ready, key=lambda one: (_failures(self._posts[one][0]), -self._due[one]))
        del self._due[post]
        return self._posts[post].popleft()

    def put_back(self, pending: Pending, due: float) -> None:
        """Return what was tried: it goes on at `due`, before the others of its post."""
        post = post_of(pending)
        self._posts[post].appendleft(pending)
        self._due[post] = due

    def done(self, pending: Pending, now: float) -> None:
        """Close the case of what was taken; the next prompt of its post may be tried."""
        post = post_of(pending)
        if self._posts[post]:
            self._due[post] = now
        else:
            del self._posts[post]

    def others(self, pending: Pending) -> list[Pending]:
        """Take out all others of the post of which this one was taken, after its verdict."""
        waiting = self._posts[post_of(pending)]
        others = list(waiting)
        waiting.clear()
        return others

    def remove(self, call: Call) -> list[Pending]:
        """Take out a call's prompts, but for one that is being tried."""
        removed = []
        for post in tuple(self._posts):
            removed += [one for one in self._posts[post] if one.call is call]
            rest = deque(one for one in self._posts[post] if one.call is not call)
            self._posts[post] = rest
            if not rest and post in self._due:
                del self._posts[post], self._due[post]
        return removed


def post_of(pending: Pending) -> Hashable:
    """Whose prompt it is: the post's, or nobody's but its own."""
    return pending.prompt.post if pending.prompt.post is not None else id(pending)


def _failures(pending: Pending) -> int:
    return pending.evidence.failures if pending.evidence is not None else 0
