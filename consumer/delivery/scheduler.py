"""The posts under way: from the queue through analysis and publishing to the committer."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Container, Iterable
from functools import partial
from typing import Any, NamedTuple

from consumer.dead_letters import Stage, counts_for_fuse
from consumer.delivery.batcher import Batch, Batcher
from consumer.delivery.fuse import Fuse
from consumer.delivery.guarantees.guarantee import Guarantee
from consumer.delivery.guarantees.publisher import Receipt
from consumer.delivery.in_flight import InFlight
from consumer.delivery.isolation import Isolation
from consumer.delivery.traced import TracedSends, context_of
from consumer.options import BatchLimits
from consumer.processor import RecordProcessor
from consumer.records import Outcome, Record, Skip
from consumer.telemetry.observer import Observer
from consumer.tracing import BatchTrace, Tracing
from runtime.clock import Clock, Timer, wait_all
from runtime.errors import Broken
from schemas import DeadLetter

_CANCEL_S = 1.0
"""For cancelled work to end: it takes a few turns of the loop, unless the analysis won't."""
LAST_ACKS_S = 1.0
"""After a drain's budget for the answers that came at its end to be acknowledged: what is answered
within the budget is not done again. An acknowledgement takes milliseconds."""


class _Run:
    """One batch under way."""

    __slots__ = (
        "batch",
        "epochs",
        "isolation",
        "number",
        "open",
        "poison",
        "skipped",
        "started",
        "trace",
        "unfinished",
    )

    def __init__(self, batch: Batch, started: float, number: int) -> None:
        self.batch = batch
        self.number = number
        """Batches are started in this order."""
        self.epochs = {record.epoch for record in batch.records}
        self.started = started
        self.open = len(batch.records)
        """Records of it whose outcome isn't acknowledged."""
        self.unfinished = self.open
        """Records of it that have no outcome yet."""
        self.poison: list[_Item] = []
        """Dead letters that count for the fuse: they wait for the rest of their batch."""
        self.skipped = 0
        self.trace: BatchTrace | None = None
        """Who records it; None where tracing is off."""
        self.isolation: Isolation | None = None

    def end_trace(self, error: str | None = None) -> None:
        """It is over, for whoever records it."""
        if self.trace is not None:
            self.trace.end(error)


class _Item(NamedTuple):
    """A record with its outcome, and the batch that it came with."""

    run: _Run
    record: Record
    outcome: Outcome


class Scheduler:
    """Starts batches while there are places for their posts; publishes each post when it is done.

    A place is taken by a post, not by a batch: one whose answer takes long holds its own alone.
    What the analysis finishes in one turn of the event loop is published together. Where each
    partition's outcomes are settled in order, places are free when the outcomes are known: those
    behind a post that takes long wait without one.
    """

    def __init__(
        self,
        *,
        processor: RecordProcessor,
        batcher: Batcher,
        guarantee: Guarantee,
        in_flight: InFlight,
        fuse: Fuse,
        limits: BatchLimits,
        clock: Clock,
        observer: Observer,
        on_room: Callable[[], None],
        on_failure: Callable[[BaseException], None],
        tracing: Tracing | None = None,
    ) -> None:
        self._tracing = tracing
        self._processor = processor
        self._batcher = batcher
        self._guarantee = guarantee
        self._in_flight = in_flight
        self._fuse = fuse
        self._limits = limits
        self._clock = clock
        self._observer = observer
        self._on_room = on_room
        self._on_failure = on_failure
        self._analysing: dict[asyncio.Task[None], _Run] = {}
        self._ready: list[_Item] = []
        """Outcomes of this turn of the loop."""
        self._judged: list[tuple[int, int, int]] = []
        """Batches that are whole in this turn: number, records, and how many of them poison."""
        self._publishing: dict[asyncio.Task[None], list[_Item]] = {}
        self._cancelled: set[asyncio.Task[None]] = set()
        """Cancelled by us: any other task that ends so is a failure."""
        self._places_taken = 0
        self._numbers = itertools.count()
        self._timer: Timer | None = None
        self._closed = False
        self._failed = False
        self.last = False
        """Nothing more will come: what waits is not held back to fill a batch."""
        self.published = 0
        """Events acknowledged."""
        self.dead_letters = 0
        """Dead letters acknowledged."""
        self.last_finish = clock.monotonic()
        """When the analysis last finished a record (monotonic)."""

    def pump(self) -> None:
        """Start what can be started now, and come back when the next batch is old enough."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._closed or not self._processor.available:
            return
        now = self._clock.monotonic()
        # The bound is passed by less than one batch. So a backlog is cut into full batches, and
        # not into one for each place that gets free.
        while self._places_taken < self._limits.max_concurrent_posts:
            batch = self._batcher.take(now, last=self.last)
            if batch is None:
                due = self._batcher.due()
                if due is not None:
                    self._timer = self._clock.call_later(max(0.0, due - now), self.pump)
                return
            self._start(batch, now)

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
        What was answered in time has `LAST_ACKS_S` more to be acknowledged. Done sooner when
        `unless` is. Gives whether all of them finished.
        """
        deadline = self._clock.monotonic() + within_s
        complete = True
        if publishing_only or not self._processor.available:
            complete = not await self._cancel(self._analyses(epochs))
        if not await self._wait(lambda: self._under_way(epochs), deadline, unless):
            complete = False
            await self._cancel(self._analyses(epochs))
            # Only now: a cancelled analysis may have finished records in its last turn.
            self._flush()
            if await self._wait(lambda: self._publishes(epochs), deadline + LAST_ACKS_S, unless):
                return complete
            await self._cancel(self._publishes(epochs))
        return complete

    async def wait_for_one(self) -> None:
        """Return when something has ended; at once in the next turn while nothing is under way."""
        tasks = [*self._analysing, *self._publishing]
        if tasks:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        else:
            await self._processor.wait_available()
            self.pump()
            await asyncio.sleep(0)

    @property
    def batches(self) -> int:
        """In analysis."""
        return len(self._analysing)

    # Analysis.

    def _start(self, batch: Batch, now: float) -> None:
        self._observer.batch_closed(batch.closed_by, len(batch.records), batch.nbytes)
        run = _Run(batch, now, next(self._numbers))
        isolation = run.isolation = Isolation(
            self._processor,
            batch.records,
            partial(self._done, run),
            self._clock,
            turn=batch.turn,
        )
        context = None
        if self._tracing is not None:
            run.trace = self._tracing.batch(batch.records)
            if run.trace.unrecorded is None:
                context = context_of(run.trace)
        task = asyncio.get_running_loop().create_task(isolation.run(), context=context)
        self._analysing[task] = run
        self._places_taken += len(batch.records)
        task.add_done_callback(self._analysed)

    def _done(self, run: _Run, record: Record, outcome: Outcome) -> None:
        """A record has its outcome. What has in this turn of the loop is published together."""
        item = _Item(run, record, outcome)
        self._batcher.served(run.batch.turn)
        run.unfinished -= 1
        if isinstance(outcome, DeadLetter) and counts_for_fuse(outcome):
            # A record that can't be decoded is done at once, its neighbours once a model has
            # answered: counted as they end, a few bad records would look like a whole bad topic.
            run.poison.append(item)
        else:
            run.skipped += isinstance(outcome, Skip)
            self._add(item)
        if not run.unfinished:
            records = len(run.batch.records) - run.skipped
            self._judged.append((run.number, records, len(run.poison)))
            self._release(run)

    def _add(self, *items: _Item) -> None:
        if items and not self._ready:
            asyncio.get_running_loop().call_soon(self._flush)
        self._ready.extend(items)

    def _release(self, run: _Run) -> None:
        poison, run.poison = run.poison, []
        self._add(*poison)

    def _analysed(self, task: asyncio.Task[None]) -> None:
        run = self._analysing.pop(task)
        assert run.isolation is not None
        left = run.isolation.left
        if left:
            run.end_trace(_why_cut_short(task))
        self._guarantee.give_up(left)
        self._let_go(left)
        self._release(run)  # of a batch that was cut short: too little to judge by
        self._ended(task)

    # Publishing.

    def _flush(self) -> None:
        ready, self._ready = self._ready, []
        if not ready:
            return
        self.last_finish = self._clock.monotonic()
        self._judge()
        if self._failed:  # neither published nor committed: it comes again
            for item in ready:
                item.run.end_trace("abandoned")
            self._guarantee.give_up(item.record for item in ready)
            self._let_go(item.record for item in ready)
            return
        if self._guarantee.by_partition:
            by_epoch: dict[int, list[_Item]] = {}
            for item in ready:
                by_epoch.setdefault(item.record.epoch, []).append(item)
            for items in by_epoch.values():
                self._publish_soon(items)
            self._free_places(len(ready))
            return
        items = [item for item in ready if not isinstance(item.outcome, Skip)]
        if len(items) < len(ready):
            self._skip([item for item in ready if isinstance(item.outcome, Skip)])
        if items:
            self._publish_soon(items)

    def _judge(self) -> None:
        judged, self._judged = self._judged, []
        if self._failed or not judged:
            return
        numbers, records, poison = zip(*judged, strict=True)
        overtaken = partial(self._begun_before, max(numbers))
        try:
            self._fuse.add(sum(records), sum(poison), overtaken=overtaken)
        except Exception as error:  # noqa: BLE001 - FuseBlown; anything else ends it as well
            self._fail(error)

    def _begun_before(self, number: int) -> int:
        """How many records of batches before this one are with the model still."""
        older = itertools.takewhile(lambda run: run.number < number, self._analysing.values())
        return sum(run.unfinished for run in older)

    def _publish_soon(self, items: list[_Item]) -> None:
        task = asyncio.get_running_loop().create_task(self._publish(items))
        self._publishing[task] = items
        task.add_done_callback(self._published)

    def _skip(self, items: list[_Item]) -> None:
        for item in items:
            if item.run.trace is not None:
                item.run.trace.skipped(1)
        self._guarantee.finish(item.record for item in items)
        self._count_skipped(item.outcome for item in items if isinstance(item.outcome, Skip))
        self._acknowledged(items)
        self._let_go(item.record for item in items)

    def _count_skipped(self, skipped: Iterable[Skip]) -> None:
        for rule, count in Counter(one.rule for one in skipped).items():
            self._observer.skipped(rule, count)

    async def _publish(self, items: list[_Item]) -> None:
        records = [item.record for item in items]
        outcomes = [item.outcome for item in items]
        if self._tracing is None:
            receipt = await self._guarantee.publish(records, outcomes)
        else:
            receipt = await self._publish_traced(items, records, outcomes)
        self.published += len(receipt.events)
        self.dead_letters += len(receipt.dead_lettered)
        if receipt.events:
            self._observer.events_published(receipt.events, self._clock.wall())
        refused = 0
        for dead_letter in receipt.dead_letters:
            self._observer.dead_letter(dead_letter.stage, dead_letter.class_name)
            refused += dead_letter.stage == Stage.PUBLISH
        if receipt.skipped:
            self._count_skipped(receipt.skipped)
        if receipt.error is not None:
            raise receipt.error
        if receipt.events or refused:
            self._fuse.add_events(len(receipt.events) + refused, refused)
        settled = len(receipt.events) + len(receipt.dead_lettered) + len(receipt.skipped)
        if settled == len(items):
            self._acknowledged(items)
        else:  # their partition is lost
            for item in items:
                item.run.end_trace("abandoned")

    async def _publish_traced(
        self, items: list[_Item], records: list[Record], outcomes: list[Outcome]
    ) -> Receipt:
        traces = [item.run.trace for item in items]
        sends = TracedSends(
            (trace, record, outcome)
            for trace, record, outcome in zip(traces, records, outcomes, strict=True)
            if trace is not None  # each has one, where tracing is on
        )
        try:
            receipt = await self._guarantee.publish(records, sends.outcomes)
        except BaseException as error:
            sends.end(error)
            raise
        sends.end(receipt.error)
        return receipt

    def _acknowledged(self, items: list[_Item]) -> None:
        now = self._clock.monotonic()
        for run, _, _ in items:
            run.open -= 1
            if run.open == 0:
                self._observer.batch_finished(len(run.batch.records), now - run.started)
                run.end_trace()

    def _published(self, task: asyncio.Task[None]) -> None:
        items = self._publishing.pop(task)
        if why := _why_cut_short(task):
            for item in items:
                item.run.end_trace(why)
        records = tuple(item.record for item in items)
        if self._guarantee.by_partition:  # their places are free since their outcomes are known
            self._in_flight.release(records)
            self._free_places(0)
        else:
            self._let_go(records)
        self._ended(task)

    # Both.

    def _let_go(self, records: Iterable[Record]) -> None:
        """These are finished or given up: their places are free."""
        records = tuple(records)
        if not records:
            return
        self._in_flight.release(records)
        self._free_places(len(records))

    def _free_places(self, places: int) -> None:
        self._places_taken -= places
        if not self._closed:
            self._on_room()
            self.pump()

    def _ended(self, task: asyncio.Task[None]) -> None:
        asked_for = task in self._cancelled
        self._cancelled.discard(task)
        if task.cancelled():
            if not asked_for:
                self._fail(Broken("work under way was cancelled unasked; its posts come again"))
        elif (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._failed = True
        self.close()
        self._on_failure(error)

    def _analyses(self, epochs: Container[int] | None) -> list[asyncio.Task[None]]:
        return [task for task, run in self._analysing.items() if _concerns(run, epochs)]

    def _publishes(self, epochs: Container[int] | None) -> list[asyncio.Task[None]]:
        return [
            task
            for task, items in self._publishing.items()
            if any(_concerns(item.run, epochs) for item in items)
        ]

    def _under_way(self, epochs: Container[int] | None) -> list[asyncio.Task[None]]:
        self._flush()
        return [*self._analyses(epochs), *self._publishes(epochs)]

    async def _wait(
        self,
        tasks: Callable[[], list[asyncio.Task[None]]],
        deadline: float,
        unless: asyncio.Future[Any] | None,
    ) -> bool:
        """Wait until there are no such tasks; False at the deadline, or when `unless` is done."""
        while waited := tasks():
            left = deadline - self._clock.monotonic()
            if left <= 0 or (unless is not None and unless.done()):
                return False
            if all(task.done() for task in waited):
                await asyncio.sleep(0)  # what forgets them is called in the next turn
                continue
            if unless is None:
                await wait_all(self._clock, waited, left)
                continue
            gate = asyncio.ensure_future(wait_all(self._clock, waited, left))
            await asyncio.wait((gate, unless), return_when=asyncio.FIRST_COMPLETED)
            gate.cancel()
        return True

    async def _cancel(self, tasks: list[asyncio.Task[None]]) -> bool:
        """Cancel these and wait until they have ended; give whether there were any."""
        self._cancelled.update(tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await wait_all(self._clock, tasks, _CANCEL_S)
        return bool(tasks)


def _why_cut_short(task: asyncio.Task[None]) -> str | None:
    """What ended it, by its class; None where it came to its end."""
    error = asyncio.CancelledError() if task.cancelled() else task.exception()
    return None if error is None else type(error).__name__


def _concerns(run: _Run, epochs: Container[int] | None) -> bool:
    return epochs is None or any(epoch in epochs for epoch in run.epochs)
