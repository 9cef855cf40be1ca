"""One server in the pool: its client, its limit, its breaker and the workers that ask it."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from emollm.errors import ModelError, Stop
from emollm.pool.breaker import Breaker, BreakerState
from emollm.pool.limiter import START_UNKNOWN, Limiter
from emollm.pool.waves import Slot, Wave
from emollm.protocol import ModelClient, ServerInfo

HOLD_FIRST_S = 0.01
"""After a 429 nothing new is sent for 10 ms, twice as long after each further one: TGI refuses in
under 5 ms, and asking again at once would be 200 refusals a second for each worker."""
HOLD_MAX_S = 2.0
"""A server that is full of others' work is asked again every two seconds at least."""


class Worker:
    """A task that takes one prompt after the other to its server."""

    __slots__ = ("idle", "task", "wave")

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.wave: Wave | None = None
        """Whose prompt it is asking now."""
        self.idle: asyncio.Future[None] | None = None
        """What it waits on while there is nothing to ask."""


class ServerState(msgspec.Struct, frozen=True, kw_only=True):
    """One server as it is now, for metrics, `doctor` and logs."""

    url: str
    breaker: BreakerState
    limit: int
    in_flight: int
    out: str | None
    """Why a human must act, where that is so."""


class Lane:
    """Everything the pool knows of one server."""

    def __init__(
        self,
        url: str,
        connect: Callable[[], Awaitable[ModelClient | ModelError]],
        breaker: Breaker,
        max_concurrency: int,
    ) -> None:
        self.url = url
        self.connect = connect
        self.breaker = breaker
        self.max_concurrency = max_concurrency
        self.limiter = Limiter(max_concurrency)
        self.client: ModelClient | None = None
        self.fitted = False
        """Whether it has said how much it takes."""
        self.admitted = False
        """Whether it ever took prompts."""
        self.out: Stop | None = None
        self.in_flight = 0
        self.waking = 0
        """Workers that were woken and haven't run yet."""
        self.held_until = float("-inf")
        self.holding = False
        self.refusals = 0
        """Overloads in a row, without an answer between them."""
        self.answered_last = False
        """Whether its last request was answered."""
        self.suspect: Slot | None = None
        """A prompt that waits to be asked alone, or is being asked."""
        self.trying = False
        """Whether the suspect is being asked."""
        self.idle: list[Worker] = []
        self.workers: set[Worker] = set()

    def room(self, now: float) -> int:
        """Prompts that could be sent to it now."""
        if not self.breaker.closed or self.suspect is not None or now < self.held_until:
            return 0
        return self.limiter.limit - self.in_flight - self.waking

    @property
    def load(self) -> float:
        """In flight relative to the limit."""
        return (self.in_flight + self.waking) / self.limiter.limit

    def fit(self, info: ServerInfo) -> None:
        """Fit the limit to what the server says of itself."""
        said = info.max_concurrent_requests
        ceiling = min(said, self.max_concurrency) if said else self.max_concurrency
        if self.fitted:
            self.limiter.cap(ceiling)
        else:
            self.limiter = Limiter(ceiling, None if said else START_UNKNOWN)
            self.fitted = True

    def hold_for(self, jitter: float) -> float:
        """Seconds to send nothing after the latest refusal; `jitter` in [0, 1)."""
        full = min(HOLD_MAX_S, HOLD_FIRST_S * 2.0 ** min(self.refusals - 1, 16))
        return full * (0.5 + jitter / 2)

    def state(self) -> ServerState:
        """What it is like now."""
        return ServerState(
            url=self.url,
            breaker=self.breaker.state,
            limit=self.limiter.limit,
            in_flight=self.in_flight,
            out=str(self.out) if self.out is not None else None,
        )
