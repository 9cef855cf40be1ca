"""Prompts that wait for a server: by turn, then first come, first served."""

import heapq
import itertools
from bisect import insort_left, insort_right
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from emollm.errors import ModelError
from emollm.pool.affinity import Affinity
from emollm.pool.evidence import Evidence
from emollm.protocol import OnAnswer, OnError, PoolAnswer, Prompt

if TYPE_CHECKING:
    from emollm.pool.upstream import Worker

RETRY_FIRST_S = 0.05
"""A prompt that failed in company waits so long at least, twice as long after each further time."""
RETRY_MAX_S = 5.0


class Pending:
    """One prompt of one call, and what happened to it so far."""

    __slots__ = (
        "attempts", "call", "evidence", "extra", "failures", "index", "prompt", "racing", "settled",
    )  # fmt: skip

    def __init__(self, call: "Call", index: int, prompt: Prompt) -> None:
        self.call = call
        self.index = index
        self.prompt = prompt
        self.settled = False
        """Whether its answer was given."""
        self.attempts = 0
        """Requests that were sent for it."""
        self.failures = 0
        """Of its requests in company."""
        self.evidence: Evidence | None = None
        """What its requests alone have shown; None while it was never asked alone."""
        self.racing: list[Worker] | None = None
        """Who asks it, once it was given to a second server; else None."""
        self.extra = False
        """Whether it was ever given to a second server: once is all it gets."""


class Sender(Protocol):
    """Who sends a call's prompts: the pool."""

    def enqueue(self, call: "Call", prompts: list[Pending]) -> None:
        """Send these when it is their turn."""

    def forget(self, call: "Call") -> None:
        """Drop a closed call: what waits, and what is in flight."""


class Call:
    """Prompts of one turn, answered one by one. An `emollm.protocol.PromptCall`."""

    __slots__ = (
        "_by_length", "_on_answer", "_on_error", "_sender", "_sent", "closed", "left", "queue",
        "queued", "turn",
    )  # fmt: skip

    def __init__(
        self,
        sender: Sender,
        on_answer: OnAnswer,
        on_error: OnError,
        *,
        turn: int = 0,
        by_length: bool = False,
        affinity: Affinity | None = None,
    ) -> None:
        self._sender = sender
        self._on_answer = on_answer
        self._on_error = on_error
        self._by_length = by_length
        self._sent = 0
        self.turn = turn
        """Lower ones go first."""
        self.left = 0
        """Prompts that aren't answered."""
        self.closed = False
        """Nobody waits for it any more: its late answers are dropped."""
        self.queue = (affinity or Affinity(())).queue()
        self.queued = False
        """Whether it is in line."""

    def send(self, prompts: Sequence[Prompt]) -> None:
        """Ask these, too. Those of one task go together; by length, where servers pad."""
        if self.closed:
            return
        pending = [Pending(self, index, one) for index, one in enumerate(prompts, self._sent)]
        self._sent += len(pending)
        self.left += len(pending)
        if len(pending) > 1:
            pending.sort(key=_task_and_length if self._by_length else _task)
        self._sender.enqueue(self, pending)

    def take(self, server: str) -> Pending:
        """Take the prompt that suits a server best."""
        return self.queue.take(server)

    def first(self) -> Pending:
        """Give the prompt that waits first."""
        return self.queue.first()

    def close(self) -> None:
        """Abandon what isn't answered."""
        self.closed = True
        self._sender.forget(self)

    def settle(self, pending: Pending, answer: PoolAnswer | ModelError) -> None:
        """Give a prompt's answer, the first one that comes."""
        if self.closed or pending.settled:
            return
        pending.settled = True
        self.left -= 1
        try:
            self._on_answer(pending.index, answer)
        except Exception as error:  # noqa: BLE001 - a fault of who asks is not the pool's
            self.fail(error)
            self.close()

    def fail(self, error: BaseException) -> None:
        """End it with an exception."""
        if not self.closed:
            self.closed = True
            self._on_error(error)


class _Tail:
    """Failed prompts of any call that wait behind everything that was there before them."""

    __slots__ = ("queue", "queued", "turn")

    def __init__(self, turn: int) -> None:
        self.turn = turn
        self.queue: deque[Pending] = deque()
        self.queued = True

    def take(self, _server: str) -> Pending:
        """Take the first, for any server."""
        return self.queue.popleft()

    def first(self) -> Pending:
        """Give the first."""
        return self.queue[0]


class PromptQueue:
    """Calls by their turn; within a turn, first come, first served.

    Within a call it is first come, first served for each instruction (`Lanes`).

    Calls aren't sent side by side: all would end at about the same time, and late. One after the
    other, half of the time passes until half of them are done, and that is what is committed when
    partitions have to be given up.

    A prompt that failed goes to the tail: behind all that waits when its delay is over. It doesn't
    wait for what comes later, so a constant backlog doesn't starve it.
    """

    def __init__(self) -> None:
        self._line: list[Call | _Tail] = []
        self._waiting = 0
        self._later: list[tuple[float, int, Pending]] = []
        self._order = itertools.count()

    def __len__(self) -> int:
        """Prompts that may be sent now; of cancelled calls, some may be counted still."""
        return self._waiting

    @property
    def next_due(self) -> float:
        """When the next delay is over, on the caller's clock; infinity without any."""
        return self._later[0][0] if self._later else float("inf")

    def add(self, call: Call, prompts: list[Pending]) -> None:
        """Queue a call's prompts, behind its own and behind the calls of its turn."""
        call.queue.extend(prompts)
        self._waiting += len(prompts)
        if call.queue and not call.queued:
            call.queued = True
            insort_right(self._line, call, key=_turn)

    def first(self) -> Prompt | None:
        """The prompt that is next by its place; of a cancelled call, perhaps."""
        return self._line[0].first().prompt if self._line else None

    def take(self, server: str) -> Pending | None:
        """Take the next prompt that somebody waits for; of a call's, what suits `server` best."""
        while self._line:
            entry = self._line[0]
            pending = entry.take(server)
            self._waiting -= 1
            if not entry.queue:
                del self._line[0]
                entry.queued = False
            if not pending.call.closed:
                return pending
        return None

    def put_first(self, pending: Pending) -> None:
        """Return a prompt whose request never counted: it is its turn's next."""
        call = pending.call
        if call.closed:
            return
        call.queue.appendleft(pending)
        self._waiting += 1
        if not call.queued:
            call.queued = True
            insort_left(self._line, call, key=_turn)

    def put_last(self, pending: Pending, due: float) -> None:
        """Send a prompt that failed to the tail, once `due` has come."""
        heapq.heappush(self._later, (due, next(self._order), pending))

    def release(self, now: float) -> None:
        """Put the prompts whose delay is over behind all others."""
        while self._later and self._later[0][0] <= now:
            pending = heapq.heappop(self._later)[2]
            if pending.call.closed:
                continue
            last = self._line[-1] if self._line else None
            if not isinstance(last, _Tail):
                last = _Tail(pending.call.turn if last is None else last.turn)
                self._line.append(last)
            last.queue.append(pending)
            self._waiting += 1

    def remove(self, call: Call) -> None:
        """Forget a call. Its prompts at the tail are skipped when they are reached."""
        if call.queued:
            self._line.remove(call)
            call.queued = False
            self._waiting -= len(call.queue)
        call.queue.clear()


def retry_delay(failures: int, jitter: float) -> float:
    """Seconds that a prompt waits at the tail after so many failures; `jitter` in [0, 1)."""
    full = min(RETRY_MAX_S, RETRY_FIRST_S * 2.0 ** min(failures - 1, 16))
    return full * (0.5 + jitter / 2)


def _turn(entry: Call | _Tail) -> int:
    return entry.turn


def _task(pending: Pending) -> str:
    return pending.prompt.task


def _task_and_length(pending: Pending) -> tuple[str, int]:
    return pending.prompt.task, len(pending.prompt.text)
