"""Dynamic batching: prompts of different requests share a forward pass.

There is no timer. While one batch runs, the next one fills: an idle server answers at once, and a
busy one has full batches.
"""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections import deque
from collections.abc import Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor

import structlog

from infra.tgi.engine import Engine, Generation, Job
from infra.tgi.errors import EngineError, PromptRefusedError
from infra.tgi.events import ServerEvent
from infra.tgi.router.errors import (
    GenerationError,
    IncompleteError,
    InferError,
    InvalidRequestError,
)
from infra.tgi.router.metrics import Metrics

#: From this many prompts on, a pass is worth its fixed costs (measured on the small model) …
_ENOUGH = 16
#: … and takes no prompt that would pad it beyond this factor: with lengths sorted in this way the
#: small model needs a fifth less CPU per prompt.
_PADDING = 1.25

_log = structlog.get_logger(__name__)


class QueuedJob:
    """A job in the queue or in a pass: the future of its answer, its times (seconds, monotonic)."""

    __slots__ = ("future", "job", "key", "queued", "started")

    def __init__(
        self, job: Job, key: Hashable, future: asyncio.Future[Generation], queued: float
    ) -> None:
        self.job = job
        self.key = key
        self.future = future
        self.queued = queued
        self.started = queued


class Batcher:
    """Feeds an engine; lives on one event loop.

    A batch holds at most `max_prompts` prompts, and at most `max_tokens` prompt tokens with
    padding; one prompt alone may be longer. As many passes run at once as the engine takes, and as
    many again for jobs that need the sampler: those are slower, a hostile grammar by minutes, and
    must not keep the others waiting.
    """

    def __init__(
        self, engine: Engine, metrics: Metrics, *, max_prompts: int, max_tokens: int
    ) -> None:
        self._engine = engine
        self._metrics = metrics
        self._max_prompts = max_prompts
        self._max_tokens = max_tokens
        self._parallel = max(1, engine.info.parallel)
        self._threads = ThreadPoolExecutor(2 * self._parallel, "engine")
        self._queue: deque[QueuedJob] = deque()
        #: Passes by whether their jobs need the sampler.
        self._running = {False: 0, True: 0}
        self._scheduled = False
        #: Whether the last pass that ended was answered by the engine.
        self.healthy = True
        self._loop = asyncio.get_running_loop()

    def submit(self, job: Job) -> QueuedJob:
        """Queue a job. Its future gives a `Generation`, or raises an `InferError`."""
        pending = QueuedJob(
            job, self._engine.batch_key(job), self._loop.create_future(), time.perf_counter()
        )
        self._queue.append(pending)
        self._metrics.queue_size.value = len(self._queue)
        self._schedule()
        return pending

    def cancel(self, pending: QueuedJob) -> None:
        """The client has left: drop the job, or let the engine end it early."""
        pending.job.cancelled = True
        pending.future.cancel()

    def _schedule(self) -> None:
        if not self._scheduled and min(self._running.values()) < self._parallel:
            self._scheduled = True
            # Not at once: jobs that arrive in this turn of the loop join the batch.
            self._loop.call_soon(self._start)

    def _start(self) -> None:
        self._scheduled = False
        for sampled in (False, True):
            while self._running[sampled] < self._parallel and (batch := self._take_batch(sampled)):
                self._running[sampled] += 1
                self._begin(batch, sampled)

    def _begin(self, batch: list[QueuedJob], sampled: bool) -> None:
        metrics = self._metrics
        metrics.batches.add(label="prefill")
        metrics.next_size.record(len(batch))
        metrics.batch_size.value = len(batch)
        metrics.batch_tokens.value = sum(len(one.job.ids) + one.job.max_new_tokens for one in batch)
        started = time.perf_counter()
        for one in batch:
            one.started = started
        call = self._loop.run_in_executor(self._threads, self._run, batch)
        call.add_done_callback(functools.partial(self._done, batch, sampled))

    def _take_batch(self, sampled: bool) -> list[QueuedJob]:
        """Take a batch: the oldest job, and jobs with the same key, nearest in length first."""
        waiting = [one for one in self._queue if not one.job.cancelled]
        oldest = next((one for one in waiting if one.job.needs_sampler is sampled), None)
        if oldest is None:
            self._keep(waiting)
            return []
        length = len(oldest.job.ids)
        same_key = [
            one
            for one in waiting
            if one is not oldest and one.key == oldest.key and one.job.needs_sampler is sampled
        ]
        same_key.sort(key=lambda one: abs(len(one.job.ids) - length))
        batch = [oldest]
        longest = tokens = length
        for one in same_key:
            longest = max(longest, len(one.job.ids))
            tokens += len(one.job.ids)
            padded = longest * (len(batch) + 1)
            if len(batch) >= self._max_prompts or padded > self._max_tokens:
                break
            if len(batch) >= _ENOUGH and padded > _PADDING * tokens:
                break
            batch.append(one)
        taken = set(batch)
        self._keep(one for one in waiting if one not in taken)
        return batch

    def _keep(self, waiting: Iterable[QueuedJob]) -> None:
        self._queue = deque(waiting)
        self._metrics.queue_size.value = len(self._queue)

    def _run(self, batch: list[QueuedJob]) -> float:
        """In the engine's thread; returns the seconds it took."""
        started = time.perf_counter()
        waiting = {one.job: one for one in batch}
        finished: list[tuple[QueuedJob, Generation | BaseException]] = []
        lock = threading.Lock()

        def finish(job: Job, result: Generation | BaseException) -> None:
            # One wake-up of the loop for all jobs that finish together.
            with lock:
                finished.append((waiting.pop(job), result))
                first = len(finished) == 1
            if first:
                self._loop.call_soon_threadsafe(deliver)

        def deliver() -> None:
            with lock:
                done = finished.copy()
                finished.clear()
            for one, result in done:
                self._deliver(one, result)

        self._engine.generate([one.job for one in batch], finish)
        return time.perf_counter() - started

    @staticmethod
    def _deliver(one: QueuedJob, result: Generation | BaseException) -> None:
        if one.future.done():
            return
        if isinstance(result, Generation):
            one.future.set_result(result)
        else:
            one.future.set_exception(_failed(result))

    def _done(self, batch: list[QueuedJob], sampled: bool, call: asyncio.Future[float]) -> None:
        self._running[sampled] -= 1
        metrics = self._metrics
        error = call.exception()
        self.healthy = error is None
        if error is None:
            metrics.batch_successes.add(label="prefill")
            metrics.batch_duration.record(call.result())
            metrics.forward_duration.record(call.result())
        else:
            metrics.batch_failures.add(label="prefill")
            _log.error(ServerEvent.BATCH_FAILED, prompts=len(batch), error=repr(error))
        if not any(self._running.values()):
            metrics.batch_size.value = 0
            metrics.batch_tokens.value = 0
        for one in batch:
            if not one.future.done():
                one.future.set_exception(_failed(error) if error else IncompleteError())
        if self._queue:
            self._start()

    def close(self) -> None:
        """End the threads; what is queued is dropped."""
        for one in self._queue:
            self.cancel(one)
        self._queue.clear()
        self._threads.shutdown(wait=True, cancel_futures=True)


def _failed(error: BaseException) -> InferError:
    if isinstance(error, PromptRefusedError):
        return InvalidRequestError(str(error))
    if isinstance(error, EngineError):
        return GenerationError(str(error))
    return GenerationError(f"{type(error).__name__}: {error}")
