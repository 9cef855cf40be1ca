"""Asking one prompt alone, and judging it by what comes of that."""

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Protocol

import msgspec
import structlog

from emollm.clients import events
from emollm.errors import (
    FailedAlone,
    ModelError,
    Overloaded,
    Poison,
    Refused,
    Stop,
    TimedOut,
    Unavailable,
)
from emollm.pool.evidence import Evidence
from emollm.pool.health import HealthChecks
from emollm.pool.quarantine import Quarantine
from emollm.pool.queue import Call, Pending
from emollm.pool.recent import Recent
from emollm.pool.upstream import Upstream, Worker
from emollm.protocol import GenerateParams, Generation, PoolAnswer
from runtime.clock import Clock, Timer, sleep

EXCLUSIVE_S = 5.0
"""Others aren't kept waiting longer for one prompt that is asked alone. An empty server that hasn't
answered by then (and in three times its usual time) isn't slow because of company."""
EMPTYING_TURNS = 10
"""So often a server is given that time to be empty, in turns with the queue: a request that hangs
there isn't waited for. On a sound server a prompt hangs in company three times at most, 90 s with
the default deadline; after that it may take ever longer."""
IN_A_ROW_S = 1.0
"""A server that was emptied for one prompt asks others alone as well, for so long: a server that
dies leaves dozens behind that each would have it emptied again."""
NO_EVIDENCE_DELAY_S = 1.0
"""Before the next try after one that proved nothing, since the server failed as well."""
WITNESS_PAUSES_S = (0.2, 0.5, 1.0)
"""A server that fails a harmless prompt after one that was asked alone is asked again after these
pauses; if it answers, it didn't die, unless there was no server in between."""
DEATHS_MEMORY_S = 600.0
"""A server that died under other prompts lately dies by itself: each of those deaths makes one more
necessary for a verdict."""
REMEMBERED = 256
REMEMBERED_S = 300.0
"""A condemned post's other prompts, and its reposts, aren't tried for five minutes. What a trial
has shown is kept as long once its call is abandoned: a rebalance comes sooner than some verdicts.
"""

_log = structlog.stdlib.get_logger(__name__)


class Sender(Protocol):
    """Who sends prompts: the pool."""

    async def request(
        self, upstream: Upstream, worker: Worker, pending: Pending
    ) -> Generation | ModelError:
        """Ask one prompt once."""

    def wake(self, upstream: Upstream) -> None:
        """Have a worker of this server look for work."""

    def send(self) -> None:
        """Send what may be sent now, and come back when there is more."""


class Trials:
    """Prompts that failed too often in company, asked alone in turns with the queue.

    One prompt at a time in the whole pool: a prompt that kills its server kills one at a time. The
    server is emptied for it, and afterwards the queue has as much time as that took.
    """

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        sender: Sender,
        health: HealthChecks,
        clock: Clock,
    ) -> None:
        self._upstreams = upstreams
        self._sender = sender
        self._health = health
        self._clock = clock
        self._now: Callable[[], float] = clock.monotonic
        self._quarantine = Quarantine()
        self._at: Upstream | None = None
        """Where one is being tried, or will be as soon as the server is empty."""
        self._emptying: Timer | None = None
        """Until when that server is waited for to be empty."""
        self._not_emptied = 0
        """How often in a row one wasn't empty in time."""
        self._deaths: deque[tuple[float, str | None]] = deque()
        self._condemned: Recent[str, Poison] = Recent(REMEMBERED, REMEMBERED_S, self._now)
        self._abandoned: Recent[Hashable, tuple[float, Evidence]] = Recent(
            REMEMBERED, REMEMBERED_S, self._now
        )

    def __len__(self) -> int:
        """Prompts that wait to be asked alone."""
        return len(self._quarantine)

    def add(self, pending: Pending, due: float) -> None:
        """Have a prompt asked alone, not before `due`."""
        self._quarantine.add(pending, due)

    def next_due(self) -> float:
        """When the next one may begin, if nothing else happens; infinity where that is open."""
        if self._at is not None or not self._quarantine:
            return float("inf")
        free_at = min(
            (
                max(one.trial_free_at, one.paused_until)
                for one in self._upstreams
                if one.breaker.closed
            ),
            default=float("inf"),
        )
        return max(free_at, self._quarantine.next_due())

    def begin(self, *, others_wait: bool) -> None:
        """Choose a server to be emptied for the next prompt, if one has its turn."""
        if self._at is not None or not self._quarantine:
            return
        now = self._now()
        free = [
            upstream
            for upstream in self._upstreams
            if upstream.breaker.closed
            and now >= upstream.paused_until
            and (now >= upstream.trial_free_at or not (others_wait or upstream.in_flight))
        ]
        pending = self._take(now) if free else None
        if pending is None:
            return
        upstream = min(free, key=_in_flight)
        upstream.trial_began = now
        self._assign(upstream, pending)
        if upstream.in_flight == 0:
            self._sender.wake(upstream)
        else:
            turns = max(0, self._not_emptied + 1 - EMPTYING_TURNS)
            self._emptying = self._clock.call_later(
                _enough_s(upstream) * 2.0 ** min(turns, 16), lambda: self._not_empty(upstream)
            )

    async def ask_alone(self, upstream: Upstream, worker: Worker, pending: Pending) -> None:
        """Ask the prompt for which this server was emptied, and judge it."""
        upstream.trying = True
        self._wait_no_longer()
        self._not_emptied = 0
        timer = self._clock.call_later(_enough_s(upstream), lambda: self._let_others_in(upstream))
        due: float | None = None
        try:
            due = await self._try(upstream, worker, pending)
        finally:
            timer.cancel()
            now = self._now()
            self._end_exclusive(upstream, now)
            upstream.trying = False
            upstream.trial = None
            self._at = None
            if due is not None and not pending.call.closed:
                self._quarantine.put_back(pending, due)
            else:
                self._remember_abandoned(pending)
                self._quarantine.done(pending, now)
            if upstream.breaker.closed and now - upstream.trial_began < IN_A_ROW_S:
                following = self._take(now)
                if following is not None:
                    self._assign(upstream, following)
            self._sender.send()

    def server_lost(self, upstream: Upstream) -> None:
        """Keep what was to be tried there for another server."""
        if upstream.trial is not None and not upstream.trying:
            self._quarantine.put_back(upstream.trial, self._now())
            self._drop(upstream)

    def forget(self, call: Call) -> None:
        """Drop a cancelled call's prompts; one that is being asked ends by itself."""
        for upstream in self._upstreams:
            trial = upstream.trial
            if trial is not None and trial.call is call and not upstream.trying:
                self._remember_abandoned(trial)
                self._quarantine.done(trial, self._now())
                self._drop(upstream)
        for pending in self._quarantine.remove(call):
            self._remember_abandoned(pending)

    def settle_condemned(self, pending: Pending) -> bool:
        """Settle a prompt if its post is condemned. False: it isn't."""
        post = pending.prompt.post
        poison = None if post is None else self._condemned.get(post)
        if poison is None:
            return False
        pending.call.settle(pending, _copy(poison))
        return True

    def resume(self, pending: Pending) -> bool:
        """Give a prompt that failed again what an abandoned trial of it has shown. False: nothing.

        Its post came again: after a rebalance, records that aren't committed are read again.
        """
        if pending.evidence is None and (kept := self._abandoned.pop(_identity(pending))):
            at, pending.evidence = kept
            pending.evidence.skip(self._now() - at)
        return pending.evidence is not None

    def acquit(self, pending: Pending) -> None:
        """Forget what abandoned trials of a prompt have shown: it was answered."""
        if self._abandoned:
            self._abandoned.pop(_identity(pending))

    def _remember_abandoned(self, pending: Pending) -> None:
        if pending.evidence is not None and not pending.settled:
            self._abandoned.put(_identity(pending), (self._now(), pending.evidence))

    def _take(self, now: float) -> Pending | None:
        while (pending := self._quarantine.take(now)) is not None:
            if not pending.call.closed:
                return pending
            self._quarantine.done(pending, now)
        return None

    def _assign(self, upstream: Upstream, pending: Pending) -> None:
        upstream.trial = pending
        upstream.exclusive = True
        self._at = upstream

    def _drop(self, upstream: Upstream) -> None:
        self._wait_no_longer()
        upstream.trial = None
        upstream.exclusive = False
        self._at = None

    def _wait_no_longer(self) -> None:
        if self._emptying is not None:
            self._emptying.cancel()
            self._emptying = None

    def _not_empty(self, upstream: Upstream) -> None:
        """A request hangs there, perhaps: others needn't wait for its deadline."""
        assert upstream.trial is not None
        self._not_emptied += 1
        self._quarantine.put_back(upstream.trial, upstream.trial_began)  # it keeps its place
        self._end_exclusive(upstream, self._now())
        self._drop(upstream)
        self._sender.send()

    def _let_others_in(self, upstream: Upstream) -> None:
        self._end_exclusive(upstream, self._now())
        self._sender.send()

    def _end_exclusive(self, upstream: Upstream, now: float) -> None:
        """Let others in again; they have as much time now as they had to wait."""
        if upstream.exclusive:
            upstream.exclusive = False
            upstream.trial_free_at = now + (now - upstream.trial_began)

    async def _try(self, upstream: Upstream, worker: Worker, pending: Pending) -> float | None:
        """Ask it once. None: it is settled; else when it may be asked again."""
        params = msgspec.structs.replace(pending.prompt.params, grammar=None)
        if not upstream.answered_last:
            problem = await self._health.ask_harmless(upstream, params)
            if problem is not None:
                self._health.failed(upstream, problem)
                return self._now() + NO_EVIDENCE_DELAY_S
        answer = await self._sender.request(upstream, worker, pending)
        if isinstance(answer, Generation):
            attempts = pending.attempts
            answered = PoolAnswer(text=answer.text, server=upstream.url, attempts=attempts)
            pending.call.settle(pending, answered)
            return None
        if isinstance(answer, Poison):
            pending.call.settle(pending, answer)
            return None
        return await self._judge(upstream, pending, answer, params)

    async def _judge(
        self, upstream: Upstream, pending: Pending, error: ModelError, params: GenerateParams
    ) -> float | None:
        """Weigh a failure alone by what a harmless prompt comes to right after it."""
        no_evidence = NO_EVIDENCE_DELAY_S
        if isinstance(error, Unavailable) and error.unsent:
            self._health.open(upstream, error)
            return self._now() + no_evidence
        evidence = pending.evidence
        if evidence is None:
            evidence = pending.evidence = Evidence()
        problem = await self._health.ask_harmless(upstream, params)
        rate = upstream.failure_rate
        if problem is None:
            rate.on_answer()
            evidence.failed(error, rate.share, self._now())
        elif isinstance(problem, Overloaded | Stop):
            rate.on_failure()
            self._health.failed(upstream, problem)
            return self._now() + no_evidence
        else:
            rate.on_failure()
            problems, answered = await self._ask_until_answered(upstream, params, problem)
            if answered and not _went_away(error, problems):
                return self._now() + no_evidence
            evidence.died(1 + len(problems), rate.share)
            self._remember_death(pending)
            self._health.failed(upstream, problems[-1])
        if evidence.condemns(self._other_deaths(pending)):
            self._condemn(upstream, pending, error)
            return None
        return self._now() + evidence.delay()

    async def _ask_until_answered(
        self, upstream: Upstream, params: GenerateParams, problem: ModelError
    ) -> tuple[list[ModelError], bool]:
        """Ask a server that may have died a few times more: its failures, and if it answers."""
        problems = [problem]
        if isinstance(problem, TimedOut):
            return problems, False  # each more would cost a whole deadline
        for pause in WITNESS_PAUSES_S:
            await sleep(self._clock, pause)
            following = await self._health.ask_harmless(upstream, params)
            if following is None:
                return problems, True
            problems.append(following)
        return problems, False

    def _remember_death(self, pending: Pending) -> None:
        now = self._now()
        self._deaths.append((now, pending.prompt.post))
        while self._deaths[0][0] < now - DEATHS_MEMORY_S:
            self._deaths.popleft()

    def _other_deaths(self, pending: Pending) -> int:
        since = self._now() - DEATHS_MEMORY_S
        post = pending.prompt.post
        return sum(at >= since and other != post for at, other in self._deaths)

    def _condemn(self, upstream: Upstream, pending: Pending, error: ModelError) -> None:
        """Settle a prompt as poison, and those of its post with it."""
        name = type(error).__name__
        task, post = pending.prompt.task, pending.prompt.post
        _log.warning(events.PROMPT_ISOLATED, server=upstream.url, error=name, task=task)
        poison: Poison
        if isinstance(error, Stop):
            poison = Refused(str(error), server=error.server, status=error.status)
        else:
            poison = FailedAlone(f"{name}: {error}", server=upstream.url, status=error.status)
        pending.call.settle(pending, poison)
        if post is not None:
            self._condemned.put(post, poison)
            for other in self._quarantine.others(pending):
                other.call.settle(other, _copy(poison))


def _went_away(error: ModelError, problems: Sequence[ModelError]) -> bool:
    """Whether a server that answers again did die: it lost the prompt, and then nobody listened.

    A supervisor has a small model's server back within a second. A server or gateway that resets
    connections at random goes on listening.
    """
    lost = isinstance(error, Unavailable) and error.lost
    return lost and any(isinstance(one, Unavailable) and one.unsent for one in problems)


def _enough_s(upstream: Upstream) -> float:
    """Seconds that others wait for one prompt at most."""
    return max(EXCLUSIVE_S, 3 * upstream.latency_s)


def _identity(pending: Pending) -> Hashable:
    """What makes two prompts the same question, whichever call asks it."""
    return pending.prompt.task, pending.prompt.text


def _in_flight(upstream: Upstream) -> int:
    return upstream.in_flight


def _copy(poison: Poison) -> Poison:
    return type(poison)(str(poison), server=poison.server, status=poison.status)
