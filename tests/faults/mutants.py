"""Guarantees switched off, one at a time: each must make the proof fail, or it proves nothing."""

import asyncio
from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any

from consumer.delivery.guarantees.publisher import Publisher, Receipt
from consumer.delivery.offsets import OffsetTracker
from consumer.delivery.scheduler import Scheduler
from consumer.records import Published, Record

Setattr = Callable[[Any, str, Any], None]


def no_fence(setattr_: Setattr) -> None:
    """The oldest unfinished record fences nothing: whatever finishes last is committed."""
    whole = OffsetTracker.finish

    def finish(self: OffsetTracker, offsets: Iterable[int]) -> int:
        offsets = list(offsets)
        grew = whole(self, offsets)
        self._position = max((self._position or 0), *(offset + 1 for offset in offsets))
        return grew

    setattr_(OffsetTracker, "finish", finish)


def no_drain(setattr_: Setattr) -> None:
    """What was started isn't waited for, and counts as done: as a commit of what was handed out."""

    async def drain(
        self: Scheduler, within_s: float, *, epochs: Container[int] | None = None, **_: Any
    ) -> bool:
        for task, run in tuple(self._analysing.items()):
            if epochs is None or any(epoch in epochs for epoch in run.epochs):
                self._guarantee.finish(run.batch.records)
                self._cancelled.add(task)
                task.cancel()
        for task, items in tuple(self._publishing.items()):
            self._guarantee.finish(item.record for item in items)
            self._cancelled.add(task)
            task.cancel()
        await asyncio.sleep(0)
        return True

    setattr_(Scheduler, "drain", drain)


def no_acknowledgement(setattr_: Setattr) -> None:
    """Records are settled before the broker has acknowledged what became of them."""
    whole = Publisher.publish
    sending: set[asyncio.Task[Receipt]] = set()

    async def publish(
        self: Publisher, records: Sequence[Record], outcomes: Sequence[Published]
    ) -> Receipt:
        task = asyncio.get_running_loop().create_task(whole(self, records, outcomes))
        sending.add(task)
        task.add_done_callback(sending.discard)
        return Receipt(list(records), [], [])

    setattr_(Publisher, "publish", publish)


MUTANTS: dict[str, Callable[[Setattr], None]] = {
    "no_fence": no_fence,
    "no_drain": no_drain,
    "no_acknowledgement": no_acknowledgement,
}
