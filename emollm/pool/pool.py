"""Several model servers of one model as one."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, NoReturn

import structlog

from emollm.clients import events
from emollm.errors import ModelError, Poison, PoolClosed, Stop, Unavailable
from emollm.pool.affinity import Affinity
from emollm.pool.asking import ask_all
from emollm.pool.breaker import Breaker
from emollm.pool.failure_rate import failures_to_exclude_luck
from emollm.pool.health import HealthChecks, Prove
from emollm.pool.life import Life, crashed
from emollm.pool.observer import NullObserver, PoolObserver
from emollm.pool.options import PoolOptions
from emollm.pool.outliers import Outliers
from emollm.pool.quarantine import COMPANY_ODDS, FAILURES_IN_COMPANY
from emollm.pool.queue import Call, Pending, PromptQueue, retry_delay
from emollm.pool.second_server import SecondServers
from emollm.pool.trials import Trials
from emollm.pool.upstream import NOT_ASKING, ServerState, Upstream, Worker
from emollm.pool.wakeup import Wakeup
from emollm.protocol import (
    Generation,
    ModelClient,
    OnAnswer,
    OnError,
    PoolAnswer,
    Prompt,
    PromptTrace,
    RequestTrace,
    ServerInfo,
)
from runtime.clock import Clock, SystemClock, sleep, wait_all

Connect = Callable[[], Awaitable[ModelClient | ModelError]]

_log = structlog.stdlib.get_logger(__name__)


class Pool:
    """A `ModelPool`. Made by `open_pool`, or of `(url, connect)` pairs and `start`ed.

    Within one event loop. Each server has workers, as many as its limit lets, that take prompt
    after prompt: a prompt costs no task and no future of its own. The faster server takes more.

    One rule for a prompt whose request failed, whatever the error:

    - It goes to the tail of the queue, each time with a longer delay. That is no verdict.
    - After `FAILURES_IN_COMPANY` (more on a server that fails often), or at once if its connection
      was lost while the server had it, or at its first failure where an earlier call that asked it
      was abandoned, it is asked *alone*: nothing else in flight on that server.
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
        self._outliers = Outliers(self._health, self._observer, rand)
        self._affinity = Affinity([url for url, _ in servers])
        self._queue = PromptQueue()
        self._trials = Trials(self._upstreams, self, self._health, self._clock)
        self._second = SecondServers(self._upstreams, self._options.timeout_s)
        self._calls: set[Call] = set()
        self._life = Life(self._end)
        self._wakeup = Wakeup(self._clock, self._life.watched(self._on_timer))

    # ---- what the consumer sees

    async def start(self, *, wait_s: float | None = None) -> None:
        """Try each server once: what it serves, its proof. Then return when one takes prompts.

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
        return await ask_all(self, prompts, turn=turn)

    def open_call(self, on_answer: OnAnswer, on_error: OnError, *, turn: int = 0) -> Call:
        """Ask prompts whose answers are wanted one by one. See `emollm.protocol.ModelPool`.

        Raises what `ask` raises, if the pool has ended already.
        """
        if self._life.ended:
            raise self._life.why()
        info, affinity = self._health.info, self._affinity
        by_length = info is not None and self._options.by_length(info)
        call = Call(self, on_answer, on_error, turn=turn, by_length=by_length, affinity=affinity)
        self._calls.add(call)
        return call

    @property
    def available(self) -> bool:
        """Whether at least one server can take prompts: a breaker is closed."""
        return not self._life.ended and any(one.breaker.closed for one in self._upstreams)

    async def wait_available(self) -> None:
        """Return as soon as `available` is True. Raises what `ask` would raise."""
        while not self.available:
            if self._life.ended:
                raise self._life.why()
            await self._life.next_change()

    async def watch(self) -> NoReturn:
        """Wait until the pool can't go on, and raise why, as `ask` would: for an idle program."""
        while not self._life.ended:
            await self._life.next_change()
        raise self._life.why()

    def suspect_model(self) -> None:
        """Have every server pass the canary again: for several unreadable answers in a row.

        `available` is False until one has. At most once a minute; more calls do nothing.
        """
        if not self._life.ended:
            self._health.suspect_model()

    @property
    def info(self) -> ServerInfo:
        """Of the model that all servers serve. Raises RuntimeError before `start` returned."""
        if self._health.info is None:
            raise RuntimeError("no model server has told yet what it serves: start the pool first")
        return self._health.info

    def servers(self) -> tuple[ServerState, ...]:
        """Each server as it is now."""
        return tuple(upstream.state(self._options.section) for upstream in self._upstreams)

    async def aclose(self) -> None:
        """Abandon everything at once: cancel what is in flight, close all connections.

        To drain instead, let the `ask` calls return first. Pending ones raise PoolClosed.
        """
        self._end(PoolClosed("the pool of model servers is closed"))
        await self._life.wait_tasks()
        clients = [one.client for one in self._upstreams if one.client is not None]
        for upstream in self._upstreams:
            upstream.client = None
        await asyncio.gather(*(client.aclose() for client in clients))

    # ---- sending

    def _fill(self, now: float) -> None:
        """Wake as many workers as there are prompts and room for."""
        if self._trials:
            self._trials.begin(others_wait=bool(self._queue))
        wanted = len(self._queue) + len(self._second)
        if not wanted:
            return
        for upstream in self._upstreams:
            wanted -= upstream.waking
        while wanted > 0:
            best = self._affinity.choose(self._upstreams, now, self._queue.first())
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
                if self._queue:
                    # Its server was lost or paused since it was woken: others are woken, or a
                    # timer is set. Else the prompt would wait until something else happens.
                    self.send()
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
                if not worker.called_off or self._life.ended:
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
        pending = self._queue.take(upstream.url)
        while pending is not None and pending.failures and self._trials.settle_condemned(pending):
            pending = self._queue.take(upstream.url)
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
        trace = None if prompt.trace is None else self._trace(upstream, pending, prompt.trace)
        answer: Generation | ModelError | None = None
        try:
            answer = await upstream.client.generate(
                prompt.text, prompt.params, timeout_s=self._options.timeout_s
            )
        except Exception as error:  # noqa: BLE001 - a fault of a request stays with the request
            answer = crashed(upstream.url, error)
        finally:
            upstream.in_flight -= 1
            worker.sent_at = NOT_ASKING
            if trace is not None:
                trace.end(answer)
        now = self._now()
        if isinstance(answer, Generation):
            self._on_request(upstream.url, prompt.task, "answered", now - sent_at)
            upstream.on_answer(now - sent_at)
            self._trials.acquit(pending)
            if pending.attempts == 1:
                upstream.failure_rate.on_answer()
            if upstream.limiter.on_answer(upstream.in_flight + 1, now):
                self._observer.on_limit(upstream.url, upstream.limiter.limit)
                self._fill(now)
            return answer
        self._on_request(upstream.url, prompt.task, type(answer).__name__, now - sent_at)
        if isinstance(answer, Poison):
            upstream.validation_refused += 1
            upstream.last_refusal = answer
        elif pending is not upstream.trial:
            self._outliers.on_failure(upstream, pending, answer, sent_at, now)
        return answer

    def _trace(self, upstream: Upstream, pending: Pending, trace: PromptTrace) -> RequestTrace:
        server, info = upstream.url, self._health.info
        return trace.request(pending.prompt, server=server, attempt=pending.attempts, info=info)

    async def _ask_in_company(self, upstream: Upstream, worker: Worker, pending: Pending) -> None:
        """Ask one prompt beside others and decide what becomes of it."""
        if pending.racing is not None:
            pending.racing.append(worker)
        answer = await self.request(upstream, worker, pending)
        if isinstance(answer, Generation):
            attempts = pending.attempts
            settled = PoolAnswer(text=answer.text, server=upstream.url, attempts=attempts)
            pending.call.settle(pending, settled)
        elif isinstance(answer, Poison):
            pending.call.settle(pending, answer)
        else:
            if pending.racing is None or self._second.lost(pending, worker):
                self._failed(upstream, pending, answer)
            return
        if pending.racing is not None:
            self._won(pending, worker)

    def _failed(self, upstream: Upstream, pending: Pending, error: ModelError) -> None:
        """Send a prompt to the tail, or where it is asked alone."""
        if pending.call.closed or self._trials.settle_condemned(pending):
            return
        now = self._now()
        if isinstance(error, Unavailable) and error.unsent:
            self._queue.put_first(pending)  # no server saw it
        else:
            pending.failures += 1
            due = now + retry_delay(pending.failures, self._rand())
            share = upstream.failure_rate.share
            enough = max(FAILURES_IN_COMPANY, failures_to_exclude_luck(share, COMPANY_ODDS))
            lost = isinstance(error, Unavailable) and error.lost
            if self._trials.resume(pending) or lost or pending.failures >= enough:
                self._trials.add(pending, due)
            else:
                self._queue.put_last(pending, due)
        self.send()

    # ---- timers

    def _set_timer(self, now: float) -> None:
        """Be called when the next delay is over."""
        at = min(self._queue.next_due, self._trials.next_due())
        if self._queue or self._second:
            for upstream in self._upstreams:
                if upstream.paused_until > now:
                    at = min(at, upstream.paused_until)
        self._wakeup.at(at)

    def _on_timer(self) -> None:
        self._queue.release(self._now())
        self.send()

    def send(self) -> None:
        """Send what may be sent now, and come back when there is more."""
        if not self._life.ended:
            # One reading: a pause that ends between two would have neither a request nor a timer.
            now = self._now()
            self._fill(now)
            self._set_timer(now)

    # ---- slow requests

    async def _watch_slow(self) -> None:
        """Give prompts that take too long to a second server."""
        while True:
            await sleep(self._clock, self._second.look_every_s())
            if self._second.look(self._now()):
                self.send()

    def _won(self, pending: Pending, winner: Worker) -> None:
        """Call off the other request; a server that was overtaken may hang."""
        racing, pending.racing = pending.racing or [], None
        for place, worker in enumerate(racing):
            if worker is winner:
                continue
            overtaken = place == 0 and worker.sent_at < NOT_ASKING  # the first one is the slow one
            worker.call_off()
            if overtaken:
                self._outliers.on_overtaken(worker.upstream, pending)

    def _recall(self, upstream: Upstream) -> None:
        """Ask elsewhere what a server has in flight that fails, if there is an elsewhere."""
        if not any(one.breaker.closed for one in self._upstreams):
            return
        for worker in upstream.workers:
            pending = worker.pending
            if pending is None or worker.sent_at == NOT_ASKING or pending is upstream.trial:
                continue
            if worker.called_off:
                continue  # another server's answer came first, or nobody waits for one
            worker.call_off()
            if pending.racing is None or self._second.lost(pending, worker):
                self._queue.put_first(pending)

    # ---- the pool's own life

    async def _wait_started(self, wait_s: float, findings: Sequence[ModelError | None]) -> None:
        waiting = asyncio.ensure_future(self.wait_available())
        try:
            if await wait_all(self._clock, (waiting,), wait_s):
                raise next(finding for finding in findings if finding is not None)
            waiting.result()
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    def server_ready(self) -> None:
        """Send again: called by the health checks."""
        self._life.changed()
        self.send()

    def server_lost(self, upstream: Upstream) -> None:
        """Send elsewhere: called by the health checks."""
        self._trials.server_lost(upstream)
        self._recall(upstream)
        self.send()

    def all_ejected(self, problem: Stop) -> None:
        """Give up: called by the health checks."""
        if not self._life.ended:
            _log.error(events.STOPPED, error=type(problem).__name__, reason=str(problem))
            self._end(problem)

    def enqueue(self, call: Call, prompts: list[Pending]) -> None:
        """Send these when it is their turn: called by the call."""
        self._queue.add(call, prompts)
        self.send()

    def forget(self, call: Call) -> None:
        """Drop a closed call, what waits and what is in flight: called by the call."""
        self._calls.discard(call)
        if not call.left or self._life.ended:
            return
        self._queue.remove(call)
        for upstream in self._upstreams:
            for worker in upstream.workers:
                pending = worker.pending
                # One that is settled is over: its worker is about to take the next prompt.
                if pending is not None and pending.call is call and not pending.settled:
                    worker.call_off()
        self._trials.forget(call)
        self.send()

    def _end(self, error: BaseException) -> None:
        """End every call, now and from now on."""
        self._life.end(error)
        for call in tuple(self._calls):
            self._queue.remove(call)
            call.fail(self._life.why())
        self._wakeup.cancel()

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something in the background until it ends or the pool does."""
        return self._life.spawn(coroutine)
