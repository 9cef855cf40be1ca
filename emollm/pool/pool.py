"""Several model servers of one model as one."""

import asyncio
import random
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, NoReturn, cast

import structlog

from emollm.clients import events
from emollm.errors import (
    GenerationFailed,
    ModelError,
    Overloaded,
    Poison,
    PoolBroken,
    PoolClosed,
    Stop,
    TimedOut,
    Unavailable,
)
from emollm.pool.breaker import Breaker
from emollm.pool.failure_rate import failures_to_exclude_luck
from emollm.pool.health import HealthChecks, Prove
from emollm.pool.observer import NullObserver, PoolObserver
from emollm.pool.options import PoolOptions
from emollm.pool.quarantine import COMPANY_ODDS, FAILURES_IN_COMPANY
from emollm.pool.queue import Call, Pending, PromptQueue
from emollm.pool.second_server import SecondServers
from emollm.pool.trials import Trials
from emollm.pool.upstream import FULL_AFTER, NOT_ASKING, ServerState, Upstream, Worker
from emollm.protocol import Generation, ModelClient, PoolAnswer, Prompt, ServerInfo
from runtime.clock import Clock, SystemClock, Timer, sleep

RETRY_FIRST_S = 0.05
"""A prompt that failed in company waits so long at least, twice as long after each further time."""
RETRY_MAX_S = 5.0
COUNTED_FAILURES = 2
"""Of one prompt in company, that lower its server's limit: after those it is more likely that
something is wrong with the prompt."""
_NO_MEMORY = "out of memory"

Connect = Callable[[], Awaitable[ModelClient | ModelError]]

_log = structlog.stdlib.get_logger(__name__)


class Pool:
    """A `ModelPool`. Made by `open_pool`, or of `(url, connect)` pairs and `start`ed.

    Within one event loop. Each server has workers, as many as its limit lets, that take prompt
    after prompt: a prompt costs no task and no future of its own. Whichever server is faster
    takes more; a new prompt goes to the one with the least in flight relative to its limit.

    One rule for a prompt whose request failed, whatever the error:

    - It goes to the tail of the queue, each time with a longer delay. That is no verdict.
    - After `FAILURES_IN_COMPANY` (more on a server that fails often), or at once if its connection
      was lost while the server had it, it is asked *alone*: nothing else in flight on that server.
      Trying prompts alone takes turns with the queue, which gets half of the time at least.
    - A failure alone counts only if the same server answers a harmless prompt right after.
      `Evidence.condemns` says when there are enough, over long enough, that luck is excluded.
      Then it is `FailedAlone` (`Refused` for an error that is a Stop elsewhere), which is Poison,
      and the other prompts of its post with it.

    And for the server:

    - Overloaded: the limit shrinks, the server rests for a moment. Failures and timeouts shrink
      it, too, unless the prompt was alone. Enough failures in a row open the breaker: its prompts
      in flight are asked elsewhere at once, and an answered prompt closes it.
    - A slow request is asked on a second server as well (`SecondServers`); the first answer wins.
    - Stop (credentials, routes): a harmless prompt is asked. If that fails as well, the server is
      ejected, and tried once a minute; when all are ejected, every `ask` raises that Stop.
    """

    def __init__(
        self,
        servers: Sequence[tuple[str, Connect]],
        options: PoolOptions | None = None,
        *,
        prove: Prove | None = None,
        observer: PoolObserver | None = None,
        clock: Clock | None = None,
        rand: Callable[[], float] = random.random,
    ) -> None:
        """`servers` are (URL without credentials, what makes its client).

        `prove` is asked of each server before it takes its first prompt, and again when it comes
        back and may have been restarted with another model: None, or why not. By default a
        harmless prompt must be answered.
        """
        if not servers:
            raise ValueError("a pool needs at least one model server")
        self._options = options or PoolOptions()
        self._observer = observer or NullObserver()
        self._on_request = self._observer.on_request
        self._clock = clock or SystemClock()
        self._now = self._clock.monotonic
        self._rand = rand
        self._upstreams = [
            Upstream(url, connect, Breaker(rand), self._options.max_concurrency)
            for url, connect in servers
        ]
        self._health = HealthChecks(
            self._upstreams,
            self._options,
            self,
            prove=prove,
            observer=self._observer,
            clock=self._clock,
            rand=rand,
        )
        self._queue = PromptQueue()
        self._trials = Trials(self._upstreams, self, self._health, self._clock)
        self._second = SecondServers(self._upstreams, self._options.timeout_s)
        self._calls: set[Call] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiters: list[asyncio.Future[None]] = []
        self._timer: Timer | None = None
        self._timer_at = float("inf")
        self._ended: BaseException | None = None

    # ---- what the consumer sees

    async def start(self, *, wait_s: float | None = None) -> None:
        """Ask each server what it serves and have it proven; return when one takes prompts.

        Servers that don't answer join when they do. With none, this waits up to `wait_s` seconds
        (None: without end).

        Raises:
            WrongModel: servers disagree about the model, or one fails its proof; names it.
            Stop: no server can be used until a human acts.
            Retry: none answered within `wait_s`; the first one's words.
        """
        try:
            findings = await self._health.start()
            if len(self._upstreams) > 1:
                self.spawn(self._watch_slow())
            if wait_s is None:
                await self.wait_available()
            else:
                await self._wait_started(wait_s, findings)
        except BaseException:
            await self.aclose()
            raise

    async def ask(
        self, prompts: Sequence[Prompt], *, turn: int = 0
    ) -> list[PoolAnswer | ModelError]:
        """Answer each prompt, in the prompts' order, retrying what can be retried.

        Errors among the answers are Poison, nothing else. While no server can take prompts this
        waits. Cancelling it closes the connections of its prompts, which frees their places on
        the GPU. Concurrent calls are served by their `turn`, lower ones first, then as they came.

        Raises:
            Stop: no server can be used until a human acts.
            PoolBroken: the pool can't go on; the program should end with its exit status.
            PoolClosed: the pool was closed meanwhile.
        """
        if self._ended is not None:
            raise _copy(self._ended)
        if not prompts:
            return []
        done = asyncio.get_running_loop().create_future()
        call = Call(prompts, done, turn=turn, padded=self._options.padded)
        self._calls.add(call)
        self._queue.add(call)
        self._fill()
        try:
            await done
        except asyncio.CancelledError:
            self._forget(call)
            if done.done() and not done.cancelled():
                done.exception()  # seen, or asyncio would complain that nobody did
            raise
        finally:
            self._calls.discard(call)
        return cast("list[PoolAnswer | ModelError]", call.answers)

    @property
    def available(self) -> bool:
        """Whether at least one server can take prompts: a breaker is closed."""
        return self._ended is None and any(one.breaker.closed for one in self._upstreams)

    async def wait_available(self) -> None:
        """Return as soon as `available` is True. Raises what `ask` would raise."""
        while not self.available:
            if self._ended is not None:
                raise _copy(self._ended)
            await self._next_change()

    async def watch(self) -> NoReturn:
        """Wait until the pool can't go on, and raise why, as `ask` would: for an idle program."""
        while self._ended is None:
            await self._next_change()
        raise _copy(self._ended)

    def suspect_model(self) -> None:
        """Have every server pass the canary again: for several unreadable answers in a row.

        `available` is False until one has. At most once a minute; more calls do nothing.
        """
        if self._ended is None:
            self._health.suspect_model()

    @property
    def info(self) -> ServerInfo:
        """Of the model that all servers serve. Raises RuntimeError before `start` returned."""
        if self._health.info is None:
            raise RuntimeError("no model server has told yet what it serves: start the pool first")
        return self._health.info

    def servers(self) -> tuple[ServerState, ...]:
        """Each server as it is now."""
        return tuple(upstream.state() for upstream in self._upstreams)

    async def aclose(self) -> None:
        """Abandon everything at once: cancel what is in flight, close all connections.

        To drain instead, let the `ask` calls return first. Pending ones raise PoolClosed.
        """
        self._end(PoolClosed("the pool of model servers is closed"))
        await asyncio.gather(*self._tasks, return_exceptions=True)
        clients = [one.client for one in self._upstreams if one.client is not None]
        for upstream in self._upstreams:
            upstream.client = None
        await asyncio.gather(*(client.aclose() for client in clients))

    # ---- sending

    def _fill(self) -> None:
        """Wake as many workers as there are prompts and room for."""
        if self._trials:
            self._trials.begin(others_wait=bool(self._queue))
        wanted = len(self._queue) + len(self._second)
        if not wanted:
            return
        now = self._now()
        wanted -= sum(upstream.waking for upstream in self._upstreams)
        while wanted > 0:
            best: Upstream | None = None
            for upstream in self._upstreams:
                if upstream.room(now) > 0 and (best is None or upstream.load < best.load):
                    best = upstream
            if best is None:
                return
            self.wake(best)
            wanted -= 1

    def wake(self, upstream: Upstream) -> None:
        """Have a worker of this server look for work."""
        upstream.waking += 1
        while upstream.idle:
            idle = upstream.idle.pop().idle
            if idle is not None and not idle.done():
                idle.set_result(None)
                return
        worker = Worker(upstream)
        worker.task = self.spawn(self._work(upstream, worker))

    async def _work(self, upstream: Upstream, worker: Worker) -> None:
        """Take one prompt after the other to this server."""
        loop = asyncio.get_running_loop()
        upstream.workers[worker] = None
        upstream.waking -= 1
        while True:
            pending = self._take(upstream)
            if pending is None:
                worker.idle = loop.create_future()
                upstream.idle.append(worker)
                await worker.idle
                upstream.waking -= 1
                continue
            worker.pending = pending
            try:
                if pending is upstream.trial:
                    await self._trials.ask_alone(upstream, worker, pending)
                else:
                    await self._ask_in_company(upstream, worker, pending)
            except asyncio.CancelledError:
                if not worker.called_off or self._ended is not None:
                    raise
                worker.called_off = False
                assert worker.task is not None
                worker.task.uncancel()
            finally:
                worker.pending = None

    def _take(self, upstream: Upstream) -> Pending | None:
        """Choose what a worker of this server asks next."""
        trial = upstream.trial
        if trial is not None and not upstream.trying:
            return trial if upstream.in_flight == 0 else None
        if (
            upstream.exclusive
            or not upstream.breaker.closed
            or upstream.in_flight >= upstream.limiter.limit
            or self._now() < upstream.paused_until
        ):
            return None
        if self._second:
            pending = self._second.take(upstream)
            if pending is not None:
                return pending
        pending = self._queue.take()
        while pending is not None and pending.failures and self._trials.settle_condemned(pending):
            pending = self._queue.take()
        return pending

    async def request(
        self, upstream: Upstream, worker: Worker, pending: Pending
    ) -> Generation | ModelError:
        """Ask one prompt once and count what any request counts for."""
        assert upstream.client is not None
        prompt = pending.prompt
        pending.attempts += 1
        upstream.in_flight += 1
        upstream.sent += 1
        sent_at = worker.sent_at = self._now()
        try:
            answer = await upstream.client.generate(
                prompt.text, prompt.params, timeout_s=self._options.timeout_s
            )
        except Exception as error:  # noqa: BLE001 - a fault of a request stays with the request
            answer = _crashed(upstream, error)
        finally:
            upstream.in_flight -= 1
            worker.sent_at = NOT_ASKING
        now = self._now()
        if isinstance(answer, Generation):
            self._on_request(upstream.url, prompt.task, "answered", now - sent_at)
            upstream.on_answer(now - sent_at)
            if pending.attempts == 1:
                upstream.failure_rate.on_answer()
            if upstream.limiter.on_answer(upstream.in_flight + 1, now):
                self._observer.on_limit(upstream.url, upstream.limiter.limit)
                self._fill()
            return answer
        self._on_request(upstream.url, prompt.task, type(answer).__name__, now - sent_at)
        if isinstance(answer, Poison):
            upstream.validation_refused += 1
            upstream.last_refusal = answer
        elif pending is not upstream.trial:
            self._count_failure(upstream, pending, answer, sent_at, now)
        return answer

    def _count_failure(
        self,
        upstream: Upstream,
        pending: Pending,
        error: ModelError,
        sent_at: float,
        now: float,
    ) -> None:
        """Let a failure in company count against its server."""
        unsent = isinstance(error, Unavailable) and error.unsent
        if pending.attempts == 1 and not unsent:
            upstream.failure_rate.on_failure()
        if isinstance(error, Overloaded):
            if pending.failures < COUNTED_FAILURES:
                self._refused(upstream, sent_at, now)
            return
        if isinstance(error, Stop):
            self._health.doubt(upstream)
            return
        upstream.answered_last = False
        if not isinstance(error, Unavailable) and pending.failures < COUNTED_FAILURES:
            limiter = upstream.limiter
            lowered = (
                limiter.on_no_memory(sent_at, now)
                if _NO_MEMORY in str(error).lower()
                else limiter.on_failure(sent_at, now)
            )
            if lowered:
                self._observer.on_limit(upstream.url, limiter.limit)
        if upstream.breaker.on_failure(pending.prompt.post):
            if unsent or not upstream.breaker.one_post or pending.prompt.post is None:
                self._health.open(upstream, error)
            else:
                self._health.doubt(upstream)

    async def _ask_in_company(self, upstream: Upstream, worker: Worker, pending: Pending) -> None:
        """Ask one prompt beside others and decide what becomes of it."""
        racing = pending.racing
        if racing is not None:
            racing.append(worker)
        answer = await self.request(upstream, worker, pending)
        if isinstance(answer, Generation):
            pending.call.settle(
                pending,
                PoolAnswer(text=answer.text, server=upstream.url, attempts=pending.attempts),
            )
            if pending.racing is not None:
                self._won(pending, worker)
            return
        if isinstance(answer, Poison):
            pending.call.settle(pending, answer)
            if pending.racing is not None:
                self._won(pending, worker)
        elif pending.racing is None or self._second.lost(pending, worker):
            self._failed(upstream, pending, answer)

    def _failed(self, upstream: Upstream, pending: Pending, error: ModelError) -> None:
        """Send a prompt to the tail, or where it is asked alone."""
        if pending.call.closed or self._trials.settle_condemned(pending):
            return
        now = self._now()
        if isinstance(error, Unavailable) and error.unsent:
            self._queue.put_first(pending)  # no server saw it
        else:
            pending.failures += 1
            due = now + self._retry_delay(pending.failures)
            share = upstream.failure_rate.share
            enough = max(FAILURES_IN_COMPANY, failures_to_exclude_luck(share, COMPANY_ODDS))
            if pending.failures >= enough or (isinstance(error, Unavailable) and error.lost):
                self._trials.add(pending, due)
            else:
                self._queue.put_last(pending, due)
        self.send()

    def _retry_delay(self, failures: int) -> float:
        full = min(RETRY_MAX_S, RETRY_FIRST_S * 2.0 ** min(failures - 1, 16))
        return full * (0.5 + self._rand() / 2)

    def _refused(self, upstream: Upstream, sent_at: float, now: float) -> None:
        """Send less to a server that is overloaded, and nothing for a moment."""
        if not upstream.limiter.on_overload(sent_at, now):
            return
        self._observer.on_limit(upstream.url, upstream.limiter.limit)
        upstream.refusals += 1
        if upstream.refusals == FULL_AFTER:
            _log.warning(events.SERVER_FULL, server=upstream.url, limit=upstream.limiter.limit)
        upstream.paused_until = now + upstream.pause_for(self._rand())

    # ---- timers

    def _set_timer(self) -> None:
        """Be called when the next delay is over."""
        at = min(self._queue.next_due, self._trials.next_due())
        now = self._now()
        if self._queue:
            for upstream in self._upstreams:
                if upstream.paused_until > now:
                    at = min(at, upstream.paused_until)
        if self._timer is not None:
            if self._timer_at <= at and self._timer_at > now:
                return
            self._timer.cancel()
            self._timer = None
        if at < float("inf"):
            self._timer_at = at
            self._timer = self._clock.call_later(max(0.0, at - now), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._queue.release(self._now())
        self.send()

    def send(self) -> None:
        """Send what may be sent now, and come back when there is more."""
        if self._ended is None:
            self._fill()
            self._set_timer()

    # ---- slow requests

    async def _watch_slow(self) -> None:
        """Give prompts that take too long to a second server."""
        while True:
            await sleep(self._clock, self._second.look_every_s())
            if self._second.look(self._now()):
                self._fill()

    def _won(self, pending: Pending, winner: Worker) -> None:
        """Call off the other request; a server that was overtaken may hang."""
        racing, pending.racing = pending.racing or [], None
        for place, worker in enumerate(racing):
            if worker is winner:
                continue
            overtaken = place == 0 and worker.sent_at < NOT_ASKING  # the first one is the slow one
            worker.call_off()
            if overtaken:
                upstream = worker.upstream
                upstream.answered_last = False
                if upstream.breaker.on_failure(pending.prompt.post):
                    words = "others answered first what it was asked, again and again"
                    self._health.open(upstream, TimedOut(words, server=upstream.url))

    def _recall(self, upstream: Upstream) -> None:
        """Ask elsewhere what a server has in flight that fails, if there is an elsewhere."""
        if not any(one.breaker.closed for one in self._upstreams):
            return
        for worker in upstream.workers:
            pending = worker.pending
            if pending is None or worker.sent_at == NOT_ASKING or pending is upstream.trial:
                continue
            worker.call_off()
            if pending.racing is None or self._second.lost(pending, worker):
                self._queue.put_first(pending)

    # ---- the pool's own life

    async def _wait_started(self, wait_s: float, findings: Sequence[ModelError | None]) -> None:
        waiting = asyncio.ensure_future(self.wait_available())
        timer = asyncio.ensure_future(sleep(self._clock, wait_s))
        try:
            await asyncio.wait((waiting, timer), return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                raise next(finding for finding in findings if finding is not None)
            waiting.result()
        finally:
            waiting.cancel()
            timer.cancel()
            await asyncio.gather(waiting, timer, return_exceptions=True)

    def server_ready(self) -> None:
        """Send again: called by the health checks."""
        self._wake_waiters()
        self.send()

    def server_lost(self, upstream: Upstream) -> None:
        """Send elsewhere: called by the health checks."""
        self._trials.server_lost(upstream)
        self._recall(upstream)
        self.send()

    def all_ejected(self, problem: Stop) -> None:
        """Give up: called by the health checks."""
        if self._ended is None:
            _log.error(events.STOPPED, error=type(problem).__name__, reason=str(problem))
            self._end(problem)

    def _forget(self, call: Call) -> None:
        """Drop a cancelled `ask`: what waits, and what is in flight."""
        call.closed = True
        self._queue.remove(call)
        for upstream in self._upstreams:
            for worker in upstream.workers:
                if worker.pending is not None and worker.pending.call is call:
                    worker.call_off()
        self._trials.forget(call)
        self.send()

    async def _next_change(self) -> None:
        """Wait until a server is ready or the pool has ended."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def _wake_waiters(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _end(self, error: BaseException) -> None:
        """End every `ask`, now and from now on."""
        if self._ended is None:
            self._ended = error
        for call in tuple(self._calls):
            self._queue.remove(call)
            call.fail(_copy(self._ended))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for task in self._tasks:
            task.cancel()
        self._wake_waiters()

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something in the background until it ends or the pool does."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        """End the pool if a background task was cancelled by others or ended by a bug."""
        self._tasks.discard(task)
        if task.cancelled():
            why = "a task of it was cancelled"
        elif (error := task.exception()) is not None:
            why = f"{type(error).__name__} at {_where(error)}"
        else:
            return
        if self._ended is None:
            _log.error(events.POOL_BROKEN, reason=why)
            self._end(PoolBroken(f"the pool of model servers is broken: {why}; this is a bug"))


def _crashed(upstream: Upstream, error: Exception) -> ModelError:
    """Make a failure of an exception that nobody foresaw. Its words may quote the post."""
    name, where = type(error).__name__, _where(error)
    _log.error(events.REQUEST_CRASHED, server=upstream.url, error=name, where=where)
    return GenerationFailed(f"{name} at {where} in our client; this is a bug", server=upstream.url)


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    return f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else "?"


def _copy(error: BaseException) -> BaseException:
    """Copy an error: one object raised in many tasks would collect their tracebacks."""
    if isinstance(error, ModelError):
        return type(error)(str(error), server=error.server, status=error.status)
    return type(error)(str(error))
