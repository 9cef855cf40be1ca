"""Several model servers of one model as one."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, cast

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
from emollm.pool.breaker import Breaker
from emollm.pool.clock import Clock, SystemClock
from emollm.pool.ends import PoolClosed, fresh
from emollm.pool.guilt import guilt
from emollm.pool.lane import Lane, ServerState, Worker
from emollm.pool.observer import NullObserver, PoolObserver
from emollm.pool.roster import PoolOptions, Prove, Roster
from emollm.pool.waves import Line, Slot, Wave
from emollm.protocol import GenerateParams, Generation, ModelClient, PoolAnswer, Prompt, ServerInfo

STRIKES = 3
"""Failures in company before a prompt is asked alone; a timeout weighs two, since it costs a whole
deadline. Being asked alone is no verdict."""
_CONVICTED = 1 - 1e-9
"""Of guilt: five fifths added up are a little less or more than 1."""
FULL_AFTER = 5
"""Refusals in a row, without an answer between them, that are worth a line in the log."""

Connect = Callable[[], Awaitable[ModelClient | ModelError]]

_log = structlog.stdlib.get_logger(__name__)


class Pool:
    """A `ModelPool`. Made by `open_pool`, or of `(url, connect)` pairs and `start`ed.

    Within one event loop. Each server has workers, as many as its limit lets, that take prompt
    after prompt: a prompt costs no task and no future of its own. Whichever server is faster
    takes more; a new prompt goes to the one with the least in flight relative to its limit.

    What becomes of a failed request:

    - Overloaded: the limit shrinks, the server rests for a moment, the prompt is asked again.
      For as long as it takes: it never counts against the prompt.
    - GenerationFailed, TimedOut, Unavailable: asked again, here or elsewhere; enough of them in a
      row open the server's breaker. After `STRIKES` the prompt is asked *alone*, nothing else in
      flight on that server. If it fails there and a harmless prompt is answered right after,
      again and again (`guilt`), it is `FailedAlone`, which is Poison. If the harmless prompt fails
      as well, it was the server, and the prompt waits like all others.
    - Stop (credentials, routes): a harmless prompt is asked at once. If that is answered, each
      time, it was the prompt (a gateway's rule against its text, say): Refused. Else the server
      is out, and tried once a minute; when all are out, every `ask` raises that Stop.
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
        back from a failure (it may have been restarted with another model): None, or why not.
        By default a harmless prompt must be answered.
        """
        if not servers:
            raise ValueError("a pool needs at least one model server")
        self._options = options or PoolOptions()
        self._observer = observer or NullObserver()
        self._clock = clock or SystemClock()
        self._rand = rand
        self._lanes = [
            Lane(url, connect, Breaker(rand), self._options.max_concurrency)
            for url, connect in servers
        ]
        self._roster = Roster(
            self._lanes,
            self._options,
            self,
            prove=prove,
            observer=self._observer,
            clock=self._clock,
        )
        self._queue = Line()
        self._suspects: deque[Slot] = deque()
        self._trial: Lane | None = None
        self._waves: set[Wave] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiters: list[asyncio.Future[None]] = []
        self._ended: BaseException | None = None

    # ---- what the consumer sees

    async def start(self, *, wait_s: float | None = None) -> None:
        """Ask each server what it serves and have it proven; return when one takes prompts.

        Servers that don't answer join when they do. With none, this waits up to `wait_s` seconds
        (None: for ever).

        Raises:
            WrongModel: servers disagree about the model, or one fails its proof; names it.
            Stop: no server can be used until a human acts.
            Retry: none answered within `wait_s`; what the first of them had said.
        """
        try:
            findings = await self._roster.start()
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
            PoolClosed: the pool was closed meanwhile.
        """
        if self._ended is not None:
            raise fresh(self._ended)
        if not prompts:
            return []
        done = asyncio.get_running_loop().create_future()
        wave = Wave(prompts, done, turn=turn, padded=self._options.padded)
        self._waves.add(wave)
        self._queue.add(wave)
        self._fill()
        try:
            await done
        except asyncio.CancelledError:
            self._forget(wave)
            if done.done() and not done.cancelled():
                done.exception()  # seen, or asyncio would complain that nobody did
            raise
        finally:
            self._waves.discard(wave)
        return cast("list[PoolAnswer | ModelError]", wave.answers)

    @property
    def available(self) -> bool:
        """Whether at least one server can take prompts: a breaker is closed."""
        return self._ended is None and any(lane.breaker.closed for lane in self._lanes)

    async def wait_available(self) -> None:
        """Return as soon as `available` is True. Raises what `ask` would raise."""
        while not self.available:
            if self._ended is not None:
                raise fresh(self._ended)
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    @property
    def info(self) -> ServerInfo:
        """Of the model that all servers serve. Raises RuntimeError before `start` returned."""
        if self._roster.info is None:
            raise RuntimeError("no model server has told yet what it serves: start the pool first")
        return self._roster.info

    def servers(self) -> tuple[ServerState, ...]:
        """Each server as it is now."""
        return tuple(lane.state() for lane in self._lanes)

    async def aclose(self) -> None:
        """Abandon everything at once: cancel what is in flight, close all connections.

        To drain instead, let the `ask` calls return first. Pending ones raise PoolClosed.
        """
        self._end(PoolClosed("the pool of model servers is closed"))
        await asyncio.gather(*self._tasks, return_exceptions=True)
        clients = [lane.client for lane in self._lanes if lane.client is not None]
        for lane in self._lanes:
            lane.client = None
        await asyncio.gather(*(client.aclose() for client in clients))

    # ---- sending

    def _fill(self) -> None:
        """Wake as many workers as there are prompts and room for."""
        wanted = len(self._queue) + len(self._suspects)
        if not wanted or self._ended is not None:
            return
        now = self._clock.monotonic()
        wanted -= sum(lane.waking for lane in self._lanes)
        while wanted > 0:
            best: Lane | None = None
            for lane in self._lanes:
                if lane.room(now) > 0 and (best is None or lane.load < best.load):
                    best = lane
            if best is None:
                return
            self._wake(best)
            wanted -= 1

    def _wake(self, lane: Lane) -> None:
        lane.waking += 1
        while lane.idle:
            idle = lane.idle.pop().idle
            if idle is not None and not idle.done():
                idle.set_result(None)
                return
        worker = Worker()
        worker.task = self.spawn(self._work(lane, worker))

    async def _work(self, lane: Lane, worker: Worker) -> None:
        """Take one prompt after the other to this server."""
        loop = asyncio.get_running_loop()
        lane.workers.add(worker)
        lane.waking -= 1
        while True:
            slot = self._take(lane)
            if slot is None:
                worker.idle = loop.create_future()
                lane.idle.append(worker)
                await worker.idle
                lane.waking -= 1
                continue
            worker.wave = slot.wave
            try:
                if slot is lane.suspect:
                    await self._ask_alone(lane, slot)
                else:
                    await self._ask_one(lane, slot)
            except asyncio.CancelledError:
                # Either the worker is to end, or the `ask` it works for was cancelled.
                if self._ended is not None or not slot.wave.closed:
                    raise
                assert worker.task is not None
                worker.task.uncancel()
            finally:
                worker.wave = None

    def _take(self, lane: Lane) -> Slot | None:
        """Choose what a worker of this server asks next."""
        if lane.suspect is not None:
            return lane.suspect if lane.in_flight == 0 and not lane.trying else None
        if not lane.breaker.closed or self._clock.monotonic() < lane.held_until:
            return None
        if self._suspects and self._trial is None:
            self._trial = lane
            lane.suspect = self._suspects.popleft()
            return lane.suspect if lane.in_flight == 0 else None
        return self._queue.take() if lane.in_flight < lane.limiter.limit else None

    async def _request(self, lane: Lane, slot: Slot) -> Generation | ModelError:
        """Ask one prompt once and count what came of it, except against the prompt."""
        assert lane.client is not None
        prompt = slot.prompt
        slot.attempts += 1
        lane.in_flight += 1
        sent_at = self._clock.monotonic()
        try:
            answer = await lane.client.generate(
                prompt.text, prompt.params, timeout_s=self._options.timeout_s
            )
        finally:
            lane.in_flight -= 1
        now = self._clock.monotonic()
        if isinstance(answer, Generation):
            self._observer.on_request(lane.url, prompt.task, "answered", now - sent_at)
            lane.answered_last = True
            lane.refusals = 0
            lane.breaker.on_answer()
            if lane.limiter.on_answer(lane.in_flight + 1):
                self._observer.on_limit(lane.url, lane.limiter.limit)
                self._fill()
            return answer
        self._observer.on_request(lane.url, prompt.task, type(answer).__name__, now - sent_at)
        if isinstance(answer, Overloaded):
            self._refused(lane, sent_at, now)
        elif not isinstance(answer, Poison | Stop):
            lane.answered_last = False
            if not isinstance(answer, Unavailable) and lane.limiter.on_failure(sent_at, now):
                self._observer.on_limit(lane.url, lane.limiter.limit)
            if lane.breaker.on_failure(now):
                self._roster.opened(lane, answer)
        return answer

    async def _ask_one(self, lane: Lane, slot: Slot) -> None:
        """Ask one prompt in company and decide what becomes of it."""
        answer = await self._request(lane, slot)
        if isinstance(answer, Generation):
            answered = PoolAnswer(text=answer.text, server=lane.url, attempts=slot.attempts)
            slot.wave.settle(slot, answered)
        elif isinstance(answer, Poison):
            slot.wave.settle(slot, answer)
        elif isinstance(answer, Overloaded):
            self._again(slot)
        elif isinstance(answer, Stop):
            await self._doubt(lane, slot, answer)
        else:
            slot.strikes += 2 if isinstance(answer, TimedOut) else 1
            self._again(slot)

    def _again(self, slot: Slot) -> None:
        """Have a prompt asked once more: in company, or alone after too many failures."""
        if slot.wave.closed:
            return
        if slot.strikes >= STRIKES:
            self._suspects.append(slot)
        else:
            self._queue.put_back(slot)
        self._fill()

    def _refused(self, lane: Lane, sent_at: float, now: float) -> None:
        """Send less to a server that is overloaded, and nothing for a moment."""
        if not lane.limiter.on_overload(sent_at, now):
            return
        self._observer.on_limit(lane.url, lane.limiter.limit)
        lane.refusals += 1
        if lane.refusals == FULL_AFTER:
            _log.warning(events.SERVER_FULL, server=lane.url, limit=lane.limiter.limit)
        lane.held_until = now + lane.hold_for(self._rand())
        if not lane.holding:
            lane.holding = True
            self.spawn(self._hold(lane))

    async def _hold(self, lane: Lane) -> None:
        """Send again when the server has rested."""
        while (left := lane.held_until - self._clock.monotonic()) > 0:
            await self._clock.sleep(left)
        lane.holding = False
        self._fill()

    # ---- judging prompts

    async def _ask_alone(self, lane: Lane, slot: Slot) -> None:
        """Ask a suspect with nothing else in flight on this server."""
        lane.trying = True
        settled = False
        try:
            params = msgspec.structs.replace(slot.prompt.params, grammar=None)
            if not lane.answered_last:
                problem = await self._roster.probe(lane, params)
                if problem is not None:
                    self._roster.blame(lane, problem)
                    return
            answer = await self._request(lane, slot)
            if isinstance(answer, Generation):
                answered = PoolAnswer(text=answer.text, server=lane.url, attempts=slot.attempts)
                slot.wave.settle(slot, answered)
                settled = True
            elif isinstance(answer, Poison):
                slot.wave.settle(slot, answer)
                settled = True
            elif not isinstance(answer, Overloaded):
                settled = await self._judge(lane, slot, answer, params)
        finally:
            lane.trying = False
            lane.suspect = None
            self._trial = None
            if not settled and not slot.wave.closed:
                self._suspects.append(slot)
            self._fill()

    async def _judge(
        self, lane: Lane, slot: Slot, error: ModelError, params: GenerateParams
    ) -> bool:
        """Decide whether a failure alone was the prompt's. True: it was, and is settled."""
        problem = await self._roster.probe(lane, params)
        if problem is not None:
            self._roster.blame(lane, problem)
        slot.guilt += guilt(error, problem)
        if slot.guilt < _CONVICTED:
            return False
        name = type(error).__name__
        _log.warning(events.PROMPT_ISOLATED, server=lane.url, error=name, task=slot.prompt.task)
        poison = FailedAlone(f"{name}: {error}", server=lane.url, status=error.status)
        slot.wave.settle(slot, poison)
        return True

    async def _doubt(self, lane: Lane, slot: Slot, error: Stop) -> None:
        """Find out whether a Stop is the server's or the prompt's."""
        if lane.breaker.closed:
            problem = await self._roster.probe(lane, slot.prompt.params)
            if problem is None:
                # Once may be a key that was renewed between the two: that is no fault of a post.
                slot.guilt += guilt(error, None)
                if slot.guilt >= _CONVICTED:
                    refused = Refused(str(error), server=error.server, status=error.status)
                    slot.wave.settle(slot, refused)
                    return
                self._again(slot)
                return
            if not isinstance(problem, Stop):
                slot.strikes += 1
            self._roster.blame(lane, problem)
        self._again(slot)

    # ---- the pool's own life

    async def _wait_started(self, wait_s: float, findings: Sequence[ModelError | None]) -> None:
        waiting = asyncio.ensure_future(self.wait_available())
        timer = asyncio.ensure_future(self._clock.sleep(wait_s))
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
        """Send again: told by the roster."""
        self._tell()
        self._fill()

    def server_lost(self, lane: Lane) -> None:
        """Send elsewhere: told by the roster."""
        if lane.suspect is not None and not lane.trying:
            self._suspects.appendleft(lane.suspect)
            lane.suspect = None
            self._trial = None
        self._fill()

    def all_out(self, problem: Stop) -> None:
        """Give up: told by the roster."""
        if self._ended is None:
            _log.error(events.STOPPED, error=type(problem).__name__, reason=str(problem))
            self._end(problem)

    def _forget(self, wave: Wave) -> None:
        """Drop a cancelled `ask`: what waits, and what is in flight."""
        wave.closed = True
        self._queue.remove(wave)
        self._suspects = deque(slot for slot in self._suspects if slot.wave is not wave)
        for lane in self._lanes:
            if lane.suspect is not None and lane.suspect.wave is wave and not lane.trying:
                lane.suspect = None
                self._trial = None
            for worker in lane.workers:
                if worker.wave is wave and worker.task is not None:
                    worker.task.cancel()
        self._fill()

    def _tell(self) -> None:
        """Wake whoever waits for availability."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _end(self, error: BaseException) -> None:
        """End every `ask`, now and from now on."""
        if self._ended is None:
            self._ended = error
        for wave in tuple(self._waves):
            self._queue.remove(wave)
            wave.fail(fresh(self._ended))
        self._suspects.clear()
        for task in self._tasks:
            task.cancel()
        self._tell()

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something in the background until it ends or the pool does."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        """A worker or prober ended; by an exception only if there is a bug: then all `ask`s end."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._end(error)
