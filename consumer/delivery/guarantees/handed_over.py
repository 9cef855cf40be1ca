"""Outcomes that wait for their transaction, and who waits for them."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from consumer.delivery.guarantees.publisher import Receipt
from consumer.records import Outcome, Record, Skip
from schemas import DeadLetter


class HandedOver:
    """Outcomes of one partition that were handed over together."""

    __slots__ = ("_left", "done", "receipt")

    def __init__(self, count: int) -> None:
        self._left = count
        self.receipt = Receipt([], [], [])
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when each is settled or dropped."""

    def settled(self, record: Record, outcome: Outcome) -> None:
        """This one's transaction is committed."""
        match outcome:
            case Skip():
                self.receipt.skipped.append(outcome)
            case DeadLetter():
                self.receipt.dead_lettered.append(record)
                self.receipt.dead_letters.append(outcome)
            case _:
                self.receipt.events.append(record)
        self.dropped()

    def dropped(self) -> None:
        """This one won't be settled here; it comes again."""
        self._left -= 1
        if self._left == 0 and not self.done.done():
            self.done.set_result(None)


class Pending(NamedTuple):
    """One outcome that isn't settled."""

    record: Record
    outcome: Outcome
    handed_over: HandedOver


class PendingOutcomes:
    """What one partition's transactions will hold, by offset."""

    def __init__(self) -> None:
        self._by_offset: dict[int, Pending] = {}

    def add(self, records: Sequence[Record], outcomes: Sequence[Outcome]) -> HandedOver:
        """These are known."""
        handed_over = HandedOver(len(records))
        for record, outcome in zip(records, outcomes, strict=True):
            self._by_offset[record.offset] = Pending(record, outcome, handed_over)
        return handed_over

    def get(self, offset: int) -> Pending | None:
        """The outcome of the record at this offset; None while it isn't known."""
        return self._by_offset.get(offset)

    def settle(self, items: Sequence[Pending]) -> None:
        """Their transaction is committed; what was dropped meanwhile stays so."""
        for record, outcome, handed_over in items:
            held = self._by_offset.get(record.offset)
            if held is not None and held.handed_over is handed_over:
                del self._by_offset[record.offset]
                handed_over.settled(record, outcome)

    def drop(self, *, behind: int = -1, but: Sequence[Pending] = ()) -> None:
        """Forget what lies behind an offset (all, by default), except what is under way."""
        kept = {item.record.offset for item in but}
        for offset in [one for one in self._by_offset if one > behind and one not in kept]:
            self._by_offset.pop(offset).handed_over.dropped()

    def withdraw(self, handed_over: HandedOver, *, but: Sequence[Pending] = ()) -> None:
        """Nobody waits for these any more: forget them, except what is under way."""
        kept = {item.record.offset for item in but}
        for offset, held in list(self._by_offset.items()):
            if held.handed_over is handed_over and offset not in kept:
                self._by_offset.pop(offset).handed_over.dropped()
