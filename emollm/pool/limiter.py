"""How many prompts a server may have at a time: found out, not configured.

Additive increase, multiplicative decrease (Chiu and Jain 1989; TCP's congestion avoidance): the
limit grows by one for each round trip in which it was the limit that held prompts back, and
shrinks when the server says no to a good part of what it is asked. That two clients of one server
come to equal shares is shown for the original, which shrinks at every refusal; here it is not
measured.

A few failures aren't too many prompts at once: with the limit halved for each, one failure in ten
(a shard that is restarted now and then, a gateway that refuses at random) left 9 % of a server's
throughput (bench/README.md). An edge that was passed shows differently: refusals take milliseconds,
so what is too much is refused over and over, and a batch that is too large fails whole.
"""

START_FRACTION = 0.5
"""Of the server's own `max_concurrent_requests` at start: half, so that a second consumer that
starts beside the first isn't refused at once, and a GPU is full (its batch is smaller)."""
START_UNKNOWN = 16
"""Where the server doesn't say: enough to fill a small batch, reached again in 16 round trips."""
AFTER_OVERLOAD = 0.7
"""429 comes in milliseconds and marks the edge exactly: TCP CUBIC's 0.7 keeps the GPU busy."""
AFTER_FAILURE = 0.5
"""A timeout or a failed batch says only that it is far too much: half, as TCP Reno. It also
halves the company in which a poison prompt is asked next, so its batch mates get out."""
MANY = 0.25
"""Share of refusals and failures from which on each lowers the limit."""
_WINDOW = 64
"""Of how many requests, about: a weighted mean in which the latest count most. 19 in a row make it
a quarter; with one in ten at random, a quarter is five standard deviations away."""
FLOOR = 1
AFTER_NO_MEMORY = 0.8
"""Of the limit at which the server ran out of memory: there it stays for a while."""
NO_MEMORY_S = 300.0
"""A limit that was too much for the GPU's memory is not tried again for five minutes: each try
costs every prompt of the batch."""


class Limiter:
    """One server's limit. Knows no clock: whoever calls passes times of one clock, in seconds."""

    def __init__(self, ceiling: int, start: int | None = None) -> None:
        """Begin at `start`, by default a fraction of `ceiling`, the most it may ever be."""
        self._ceiling = self._top = max(FLOOR, ceiling)
        begin = start if start is not None else self._ceiling * START_FRACTION
        self._limit = float(min(max(begin, FLOOR), self._ceiling))
        self._lowered_at = float("-inf")
        self._top_until = float("-inf")
        self._share = 0.0

    @property
    def limit(self) -> int:
        """Prompts in flight at most; at least 1."""
        return int(self._limit)

    @property
    def ceiling(self) -> int:
        """The limit never exceeds it."""
        return self._ceiling

    def cap(self, ceiling: int) -> None:
        """Set the ceiling of a server that came back with other settings."""
        self._ceiling = max(FLOOR, ceiling)
        self._top = min(self._top, self._ceiling)
        self._limit = min(self._limit, float(self._ceiling))

    def on_answer(self, in_flight: int, now: float) -> bool:
        """Count an answer that came while `in_flight` were asked. True: the limit has grown.

        An answer while there was room proves nothing about more, so it doesn't count.
        """
        self._share -= self._share / _WINDOW
        before = int(self._limit)
        if in_flight < before:
            return False
        if before >= self._top:
            if before >= self._ceiling or now < self._top_until:
                return False
            self._top = self._ceiling
        self._limit = min(self._limit + 1 / self._limit, float(self._top))
        return int(self._limit) > before

    def on_overload(self, sent_at: float, now: float) -> bool:
        """Count a 429. True: they are many, and the limit was lowered."""
        return self._lower(AFTER_OVERLOAD, sent_at, now)

    def on_failure(self, sent_at: float, now: float) -> bool:
        """Count a timeout or a failed generation. True: they are many, and it was lowered."""
        return self._lower(AFTER_FAILURE, sent_at, now)

    def on_no_memory(self, sent_at: float, now: float) -> bool:
        """Stay below a limit at which the server ran out of memory. True: it was lowered."""
        if sent_at <= self._lowered_at:
            return False  # of a batch that is counted already
        self._lowered_at = now
        self._top = max(FLOOR, int(self._limit * AFTER_NO_MEMORY))
        self._top_until = now + NO_MEMORY_S
        self._limit = float(self._top)
        return True

    def _lower(self, factor: float, sent_at: float, now: float) -> bool:
        """Once a round trip: what was sent before the last lowering doesn't know of it yet."""
        if sent_at <= self._lowered_at:
            return False
        self._share += (1 - self._share) / _WINDOW
        if self._share < MANY:
            return False
        self._lowered_at = now
        self._limit = max(float(FLOOR), self._limit * factor)
        return True
