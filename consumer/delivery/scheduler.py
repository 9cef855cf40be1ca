"""The batches under way: from the queue through analysis and publishing to the committer."""

import asyncio
from collections import Counter
from collections.abc import Callable, Container, Sequence
from typing import Any, Literal

from consumer.dead_letters import Stage, counts_for_fuse
from consumer.delivery.batcher import Batch, Batcher
from consumer.delivery.committer import Committer
from consumer.delivery.fuse import Fuse
from consumer.delivery.in_flight import InFlight
from consumer.delivery.isolation import process
from consumer.delivery.publisher import Publisher
from consumer.options import BatchLimits
from consumer.processor import RecordProcessor
from consumer.records import Outcome, Published, Record, Skip
from consumer.telemetry.observer import Observer
from runtime.clock import Clock, Timer, wait_all
from schemas import DeadLetter

_CANCEL_S = 1.0
"""For cancelled work to end: it takes a few turns of the loop, unless the analysis won't."""


class _Run:
    """One batch under way."""

    __slots__ = ("batch", "epochs", "stage", "started")

    def __init__(self, batch: Batch, started: float) -> None:
        self.batch = batch
        self.epochs = {record.epoch for record in batch.records}
        self.stage: Literal["process", "publish"] = "process"
        self.started = started


class Work:
    """Starts batches while there are places for them: one task a batch, none a record."""

    def __init__(
        self,
        *,
        processor: RecordProcessor,
        batcher: Batcher,
        publisher: Publisher,
        committer: Committer,
        in_flight: InFlight,
        fuse: Fuse,
        limits: BatchLimits,
        clock: Clock,
        observer: Observer,
        on_room: Callable[[], None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._processor = processor
        self._batcher = batcher
        self._publisher = publisher
        self._committer = committer
        self._in_flight = in_flight
        self._fuse = fuse
        self._limits = limits
        self._clock = clock
        self._observer = observer
        self._on_room = on_room
        self._on_failure = on_failure
        self._runs: dict[asyncio.Task[None], _Run] = {}
        self._records = 0
        self._timer: Timer | None = None
        self._closed = False
        self.last = False
        """Nothing more will come: what waits is not held back to fill a batch."""
        self.published = 0
        """Events acknowledged."""
        self.dead_letters = 0
        """Dead letters acknowledged."""

    def pump(self) -> None:
        """Start what can be started now, and come back when the next batch is old enough."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._closed or not self._processor.available:
            return
        now = self._clock.monotonic()
        while self._has_place():
            batch = self._batcher.take(now, last=self.last)
            if batch is None:
                due = self._batcher.due()
                if due is not None:
                    self._timer = self._clock.call_later(max(0.0, due - now), self.pump)
                return
            self._start(batch, now)

    def _has_place(self) -> bool:
        limits = self._limits
        return not self._runs or (
            len(self._runs) < limits.max_concurrent
            and self._records < limits.max_concurrent_records
        )

    def close(self) -> None:
        """Start nothing any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def drain(
        self,
        within_s: float,
        *,
        epochs: Container[int] | None = None,
        publishing_only: bool = False,
        unless: asyncio.Future[Any] | None = None,
    ) -> bool:
        """Let what is under way finish for up to `within_s`; cancel what doesn't.

        Only batches with records of `epochs` (None: all); those still in analysis are cancelled at
        once if `publishing_only`, or while no model server takes prompts: they wouldn't finish.
        Done sooner when `unless` is. Gives whether all of them finished.
        """
        runs = {
            task: run
            for task, run in self._runs.items()
            if epochs is None or any(epoch in epochs for epoch in run.epochs)
        }
        hopeless = publishing_only or not self._processor.available
        cut = [task for task, run in runs.items() if hopeless and run.stage == "process"]
        waited = [task for task in runs if task not in set(cut)]
        if unless is None:
            late = await wait_all(self._clock, waited, within_s)
        else:
            gate = asyncio.ensure_future(wait_all(self._clock, waited, within_s))
            await asyncio.wait((gate, unless), return_when=asyncio.FIRST_COMPLETED)
            gate.cancel()
            late = [task for task in waited if not task.done()]
        late += cut
        for task in late:
            task.cancel()
        if late:
            await wait_all(self._clock, late, _CANCEL_S)
        return not late

    async def wait_for_one(self) -> None:
        """Return when a batch has ended; at once in the next turn while none is under way."""
        if self._runs:
            await asyncio.wait(self._runs, return_when=asyncio.FIRST_COMPLETED)
        else:
            await self._processor.wait_available()
            self.pump()
            await asyncio.sleep(0)

    @property
    def batches(self) -> int:
        """Under way."""
        return len(self._runs)

    def _start(self, batch: Batch, now: float) -> None:
        self._observer.batch_closed(batch.closed_by, len(batch.records), batch.nbytes)
        run = _Run(batch, now)
        task = asyncio.get_running_loop().create_task(self._process(run))
        self._runs[task] = run
        self._records += len(batch.records)
        task.add_done_callback(self._ended)

    async def _process(self, run: _Run) -> None:
        records = run.batch.records
        outcomes = await process(self._processor, records, self._clock)
        posts, published, skipped = _without_skipped(records, outcomes)
        self._fuse.add(
            len(posts),
            sum(isinstance(one, DeadLetter) and counts_for_fuse(one) for one in published),
        )
        run.stage = "publish"
        receipt = await self._publisher.publish(posts, published)
        # Acknowledged, both: only now may their offsets settle.
        self._committer.finish(
            (*receipt.events, *receipt.letters, *(record for record, _ in skipped))
        )
        for rule, count in Counter(rule for _, rule in skipped).items():
            self._observer.skipped(rule, count)
        self.published += len(receipt.events)
        self.dead_letters += len(receipt.letters)
        if receipt.events:
            self._observer.events_published(receipt.events, self._clock.wall())
        late_poison = 0
        for refused in receipt.refused:
            self._observer.dead_letter(refused.stage, refused.class_name)
            late_poison += refused.stage == Stage.PUBLISH
        if receipt.error is not None:
            raise receipt.error
        if late_poison:
            self._fuse.add(0, late_poison)
        self._observer.batch_finished(len(records), self._clock.monotonic() - run.started)

    def _ended(self, task: asyncio.Task[None]) -> None:
        run = self._runs.pop(task)
        self._records -= len(run.batch.records)
        self._in_flight.release(len(run.batch.records), run.batch.nbytes)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._closed = True
            self._on_failure(error)
            return
        self._on_room()
        self.pump()


def _without_skipped(
    records: Sequence[Record], outcomes: Sequence[Outcome]
) -> tuple[list[Record], list[Published], list[tuple[Record, str]]]:
    """Tell what is to be published from the records that no rule lets through."""
    posts: list[Record] = []
    published: list[Published] = []
    skipped: list[tuple[Record, str]] = []
    for record, outcome in zip(records, outcomes, strict=True):
        if isinstance(outcome, Skip):
            skipped.append((record, outcome.rule))
        else:
            posts.append(record)
            published.append(outcome)
    return posts, published, skipped
