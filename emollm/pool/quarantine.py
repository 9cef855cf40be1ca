"""Prompts that failed too often to be asked in company, and what their failures alone prove."""

import math
from collections import deque
from collections.abc import Hashable

from emollm.errors import ModelError, TimedOut
from emollm.pool.failure_rate import failures_to_exclude_luck
from emollm.pool.queue import Call, Pending

FAILURES_IN_COMPANY = 3
"""A prompt that failed so often in company is asked alone. That is no verdict yet."""
COMPANY_ODDS = 1e-3
"""On a server that fails often it takes more: one prompt in a thousand comes here by luck, for each
costs the server's whole attention for a moment."""
FAILURES_ALONE = 5
FAILURES_ALONE_SLOW = 3
"""Where each timed out: that costs a whole deadline each time."""
VERDICT_ODDS = 1e-6
"""No verdict while luck would explain the failures in more than one case of a million. On a server
that fails 30 % of all requests that takes 12 of them, on a sound one three."""
VERDICT_S = 10.0
"""No verdict before the failures span so many seconds: a restart, a burst of load is over then."""
DEATHS = 2
"""Servers that stopped answering while they were asked this one prompt, alone."""
_FIRST_DELAY_S = 1.0
_MAX_DELAY_S = 8.0


class Evidence:
    """What one prompt's requests alone have shown so far. Knows no clock."""

    __slots__ = ("_chain", "_deaths", "_failures", "_first_at", "_last_at", "_share", "_timeouts")

    def __init__(self) -> None:
        self._failures = 0
        self._timeouts = 0
        self._deaths = 0
        self._chain = 0
        self._first_at = math.inf
        self._last_at = -math.inf
        self._share = 0.0

    @property
    def failures(self) -> int:
        """Failures alone that count: a harmless prompt was answered right after."""
        return self._failures

    def failed(self, error: ModelError, share: float, now: float) -> None:
        """Count a failure alone after which the same server answered a harmless prompt.

        `share` is how often that server fails by luck.
        """
        self._failures += 1
        self._timeouts += isinstance(error, TimedOut)
        self._share = max(self._share, share)
        self._first_at = min(self._first_at, now)
        self._last_at = now

    def died(self, requests: int, share: float) -> None:
        """Count a server that answered before this prompt, and nothing after it.

        `requests` failed in a row then, the prompt's own included.
        """
        self._deaths += 1
        self._chain += requests
        self._share = max(self._share, share)

    def condemns(self, other_deaths: int = 0) -> bool:
        """Whether it must be the prompt.

        `other_deaths` is how many servers died lately while asked another post's prompt.
        """
        if self._deaths == 0 and self._failures == 0:
            return False
        needed = failures_to_exclude_luck(self._share, VERDICT_ODDS)
        if self._deaths >= DEATHS + other_deaths and self._chain >= needed:
            return True
        slow = self._timeouts >= FAILURES_ALONE_SLOW
        least = FAILURES_ALONE_SLOW if slow else FAILURES_ALONE
        return self._failures >= max(least, needed) and self._last_at - self._first_at >= VERDICT_S

    def delay(self) -> float:
        """Seconds until it is asked alone again: doubling, capped."""
        return min(_MAX_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(self._failures - 1, 16))


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
        """Take a prompt in, behind those of its post."""
        post = post_of(pending)
        if post in self._posts:
            self._posts[post].append(pending)
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

    def remove(self, call: Call) -> None:
        """Forget a call's prompts."""
        for post in tuple(self._posts):
            rest = deque(one for one in self._posts[post] if one.call is not call)
            self._posts[post] = rest
            if not rest and post in self._due:
                del self._posts[post], self._due[post]


def post_of(pending: Pending) -> Hashable:
    """Whose prompt it is: the post's, or nobody's but its own."""
    return pending.prompt.post if pending.prompt.post is not None else id(pending)


def _failures(pending: Pending) -> int:
    return pending.evidence.failures if pending.evidence is not None else 0
