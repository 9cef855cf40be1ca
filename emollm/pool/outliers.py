"""What a failed request in company means for its server."""

from collections.abc import Callable

import structlog

from emollm.clients import events
from emollm.errors import ModelError, Overloaded, Stop, TimedOut, Unavailable
from emollm.pool.health import HealthChecks
from emollm.pool.observer import PoolObserver
from emollm.pool.queue import Pending
from emollm.pool.upstream import FULL_AFTER, Upstream

COUNTED_FAILURES = 2
"""Of one prompt, that lower its server's limit: a third one is more likely the prompt's own. A
poison prompt once took the limit from 64 to 1."""
_NO_MEMORY = "out of memory"

_log = structlog.stdlib.get_logger(__name__)


class Outliers:
    """Counts failures against servers: lowers their limits, has them checked, opens breakers."""

    def __init__(
        self, health: HealthChecks, observer: PoolObserver, rand: Callable[[], float]
    ) -> None:
        self._health = health
        self._observer = observer
        self._rand = rand

    def on_failure(
        self,
        upstream: Upstream,
        pending: Pending,
        error: ModelError,
        sent_at: float,
        now: float,
    ) -> None:
        """Count a failed request, whatever the error but Poison."""
        unsent = isinstance(error, Unavailable) and error.unsent
        if pending.attempts == 1 and not unsent:
            upstream.failure_rate.on_failure()
        post = pending.prompt.post
        # One post that fails again and again says nothing about how much is too much.
        counted = pending.failures < COUNTED_FAILURES and (
            post is None or post != upstream.last_failed_post
        )
        upstream.last_failed_post = post
        if isinstance(error, Overloaded):
            if counted:
                self._on_overload(upstream, sent_at, now)
            return
        if isinstance(error, Stop):
            self._health.doubt(upstream)
            return
        upstream.answered_last = False
        if counted and not isinstance(error, Unavailable):
            self._lower(upstream, error, sent_at, now)
        if upstream.breaker.on_failure(post):
            if unsent or post is None or not upstream.breaker.one_post:
                self._health.open(upstream, error)
            else:
                self._health.doubt(upstream)

    def on_overtaken(self, upstream: Upstream, pending: Pending) -> None:
        """Count a request that another server answered first though it was asked later."""
        upstream.answered_last = False
        if upstream.breaker.on_failure(pending.prompt.post):
            words = "others answered first what it was asked, again and again"
            self._health.open(upstream, TimedOut(words, server=upstream.url))

    def _on_overload(self, upstream: Upstream, sent_at: float, now: float) -> None:
        """Send less to a server that is overloaded, and nothing for a moment."""
        if not upstream.limiter.on_overload(sent_at, now):
            return
        self._observer.on_limit(upstream.url, upstream.limiter.limit)
        upstream.refusals += 1
        if upstream.refusals == FULL_AFTER:
            _log.warning(events.SERVER_FULL, server=upstream.url, limit=upstream.limiter.limit)
        upstream.paused_until = now + upstream.pause_for(self._rand())

    def _lower(self, upstream: Upstream, error: ModelError, sent_at: float, now: float) -> None:
        limiter = upstream.limiter
        if _NO_MEMORY in str(error).lower():
            lowered = limiter.on_no_memory(sent_at, now)
        else:
            lowered = limiter.on_failure(sent_at, now)
        if lowered:
            self._observer.on_limit(upstream.url, limiter.limit)
