"""Slow requests that are asked of a second server as well: the first answer wins."""

from collections import deque
from collections.abc import Sequence

from emollm.pool.queue import Pending
from emollm.pool.upstream import Upstream, Worker

SLOW_SHARE = 1 / 30
"""Of the timeout: a request that takes longer may be stuck. A second, by default."""
SLOW_TIMES = 3
"""But not before it takes three times as long as that server's answers usually do."""
EXTRA_SHARE = 0.05
"""Of all requests may be such second ones: on servers that are slow from load they do harm."""
EXTRA_SAVED = 20.0
"""Second requests that quiet times save up, from none at the start: enough to show that a server
hangs (its breaker opens after five that others overtook), and never more than the share of all."""
_LOOKS = 5
"""Looks for slow requests in the time after which one is slow."""
_LEAST_S = 0.25
"""However short the timeout: twenty looks a second cost nothing."""


class SecondServers:
    """Decides which prompts are given to a second server. At most once for a prompt."""

    def __init__(self, upstreams: Sequence[Upstream], timeout_s: float) -> None:
        self._upstreams = upstreams
        self._timeout_s = timeout_s
        self._waiting: deque[Pending] = deque()
        self._budget = 0.0
        self._counted = 0

    def __len__(self) -> int:
        """Prompts that wait for a second server."""
        return len(self._waiting)

    def look_every_s(self) -> float:
        """Seconds between two looks for slow requests."""
        return min(map(self._slow_s, self._upstreams)) / _LOOKS

    def look(self, now: float) -> bool:
        """Find requests that take too long, while the budget lasts. True: some were found."""
        sent = sum(upstream.sent for upstream in self._upstreams)
        self._budget = min(EXTRA_SAVED, self._budget + EXTRA_SHARE * (sent - self._counted))
        self._counted = sent
        found = False
        for upstream in self._upstreams:
            before = now - self._slow_s(upstream)
            if not upstream.in_flight or not self._elsewhere(upstream):
                continue
            for worker in upstream.workers:
                pending = worker.pending
                if worker.sent_at > before or pending is None or pending.extra:
                    continue
                if worker.called_off:
                    continue  # its prompt is another's by now, or nobody's
                if pending is upstream.trial:
                    continue
                if self._budget < 1:
                    return found
                self._budget -= 1
                pending.extra = True
                pending.racing = [worker]
                self._waiting.append(pending)
                found = True
        return found

    def take(self, upstream: Upstream) -> Pending | None:
        """Take a prompt that another server is slow with."""
        for _ in range(len(self._waiting)):
            pending = self._waiting.popleft()
            if pending.racing is None or pending.call.closed:
                continue  # answered, or failed, meanwhile
            if pending.racing[0].upstream is not upstream:
                return pending
            self._waiting.append(pending)
        return None

    def lost(self, pending: Pending, worker: Worker) -> bool:
        """Count a request of two as ended without an answer. True: there is no other one."""
        racing = pending.racing
        assert racing is not None
        racing.remove(worker)
        if racing:
            return False
        pending.racing = None
        return True

    def _elsewhere(self, upstream: Upstream) -> bool:
        # A server that is full will do: the prompt is the next that it takes.
        return any(one is not upstream and one.breaker.closed for one in self._upstreams)

    def _slow_s(self, upstream: Upstream) -> float:
        return max(_LEAST_S, self._timeout_s * SLOW_SHARE, SLOW_TIMES * upstream.latency_s)
