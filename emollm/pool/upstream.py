"""One server of the pool: its client, its limit, its breaker and the workers that ask it."""

import asyncio
import math
from collections.abc import Awaitable, Callable

import msgspec

from emollm.errors import ModelError, Overloaded, Stop
from emollm.pool.advice import advice
from emollm.pool.breaker import Breaker, BreakerState
from emollm.pool.failure_rate import FailureRate
from emollm.pool.limiter import START_UNKNOWN, Limiter
from emollm.pool.queue import Pending
from emollm.protocol import ModelClient, ServerInfo

PAUSE_FIRST_S = 0.01
"""After a 429 nothing new is sent for 10 ms, twice as long after each further one: TGI refuses in
under 5 ms, and asking again at once would be 200 refusals a second for each worker."""
PAUSE_MAX_S = 2.0
"""A server that is full of others' work is asked again every two seconds at least."""
FULL_AFTER = 5
"""Refusals in a row, without an answer between them, that are worth a line in the log."""
_LATENCY_WINDOW = 32
NOT_ASKING = math.inf
"""When a worker that awaits no answer sent its request."""


class Worker:
    """A task that takes one prompt after the other to its server."""

    __slots__ = ("called_off", "idle", "pending", "sent_at", "task", "upstream")

    def __init__(self, upstream: "Upstream") -> None:
        self.upstream = upstream
        self.task: asyncio.Task[None] | None = None
        self.pending: Pending | None = None
        """What it is busy with."""
        self.sent_at = NOT_ASKING
        """When its request was sent, while it awaits the answer."""
        self.called_off = False
        """It was cancelled for its prompt's sake and goes on with the next one."""
        self.idle: asyncio.Future[None] | None = None
        """It waits on this while there is nothing to ask."""

    def call_off(self) -> None:
        """End what it is busy with: its connection is closed, its place on the GPU is free."""
        if self.task is not None and not self.called_off:
            self.called_off = True
            self.task.cancel()


class ServerState(msgspec.Struct, frozen=True, kw_only=True):
    """One server as it is now, for metrics, `/readyz`, `doctor` and logs."""

    url: str
    breaker: BreakerState
    limit: int
    in_flight: int
    out: str | None
    """Why a human must act, where that is so."""
    problem: str | None = None
    """What is wrong with it and what to do, in a sentence; None while it answers."""
    refused: int = 0
    """Prompts that its validation refused in the last minute (400, 413, 422)."""


class Upstream:
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
        self.failure_rate = FailureRate()
        self.client: ModelClient | None = None
        self.in_flight = 0
        self.waking = 0
        """Workers that were woken and haven't run yet."""
        self.sent = 0
        """Requests so far."""
        self.latency_s = 0.0
        """A moving mean of the time an answer takes; 0 before the first."""
        self.idle: list[Worker] = []
        self.workers: dict[Worker, None] = {}
        self.last_failed_post: str | None = None
        # 429
        self.paused_until = -math.inf
        self.refusals = 0
        """Overloads in a row, without an answer between them."""
        # Health
        self.sized = False
        """Whether it has named its own limit."""
        self.admitted = False
        """Whether it ever took prompts."""
        self.ejected: Stop | None = None
        self.failing: ModelError | None = None
        """Why its breaker is not closed."""
        self.probing = False
        """Whether a task probes it until it may be readmitted."""
        self.checking = False
        """Whether a harmless prompt is finding out if it is at fault."""
        self.maybe_restarted = True
        """It may have come back as another model: the canary has to be asked."""
        self.answered_last = False
        """Whether its last request was answered."""
        self.validation_refused = 0
        """Prompts refused since the last report."""
        self.reported_refused = 0
        self.last_refusal: ModelError | None = None
        # Trying one prompt alone
        self.trial: Pending | None = None
        """A prompt that waits to be asked alone here, or is being asked."""
        self.trying = False
        """Whether it is being asked."""
        self.exclusive = False
        """Whether nothing else may be sent meanwhile."""
        self.trial_began = -math.inf
        """Since when nothing else is sent."""
        self.trial_free_at = -math.inf
        """No other prompt is asked alone here before: the queue has its turn."""

    def room(self, now: float) -> int:
        """Prompts that could be sent to it now."""
        if not self.breaker.closed or self.exclusive or now < self.paused_until:
            return 0
        return self.limiter.limit - self.in_flight - self.waking

    @property
    def load(self) -> float:
        """In flight relative to the limit."""
        return (self.in_flight + self.waking) / self.limiter.limit

    def on_answer(self, seconds: float) -> None:
        """Count an answered prompt that took so long."""
        self.answered_last = True
        self.refusals = 0
        self.breaker.on_answer()
        if self.latency_s:
            self.latency_s += (seconds - self.latency_s) / _LATENCY_WINDOW
        else:
            self.latency_s = seconds

    def fit(self, info: ServerInfo) -> None:
        """Fit the limit to what the server says of itself."""
        own = info.max_concurrent_requests
        ceiling = min(own, self.max_concurrency) if own else self.max_concurrency
        if self.sized:
            self.limiter.cap(ceiling)
        else:
            self.limiter = Limiter(ceiling, None if own else START_UNKNOWN)
            self.sized = True

    def pause_for(self, jitter: float) -> float:
        """Seconds to send nothing after the latest refusal; `jitter` in [0, 1)."""
        full = min(PAUSE_MAX_S, PAUSE_FIRST_S * 2.0 ** min(self.refusals - 1, 16))
        return full * (0.5 + jitter / 2)

    def state(self, section: str = "model") -> ServerState:
        """What it is like now; `section` is the part of the configuration that names it."""
        refused = max(self.validation_refused, self.reported_refused)
        return ServerState(
            url=self.url,
            breaker=self.breaker.state,
            limit=self.limiter.limit,
            in_flight=self.in_flight,
            out=str(self.ejected) if self.ejected is not None else None,
            problem=self._problem(refused, section),
            refused=refused,
        )

    def _problem(self, refused: int, section: str) -> str | None:
        if not self.breaker.closed:
            wrong = self.ejected or self.failing
            return advice(wrong, section) if wrong is not None else "not asked yet"
        if self.refusals >= FULL_AFTER:
            error = Overloaded("it refuses however few prompts it is sent", status=429)
            return advice(error, section)
        if refused and self.last_refusal is not None:
            todo = advice(self.last_refusal, section)
            return f"{refused} prompts refused in a minute; {todo}"
        return None
