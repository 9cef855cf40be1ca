"""Prompts that wait for a server, first come, first served."""

import asyncio
from bisect import insort_left, insort_right
from collections import deque
from collections.abc import Sequence

from emollm.errors import ModelError
from emollm.protocol import PoolAnswer, Prompt


class Slot:
    """One prompt of one `ask`, and what happened to it so far."""

    __slots__ = ("attempts", "guilt", "index", "prompt", "strikes", "wave")

    def __init__(self, wave: "Wave", index: int, prompt: Prompt) -> None:
        self.wave = wave
        self.index = index
        self.prompt = prompt
        self.attempts = 0
        """Requests that were sent for it."""
        self.strikes = 0
        """Failures in company."""
        self.guilt = 0.0
        """What its failures alone say against it; 1 is a verdict."""


class Wave:
    """The prompts of one `ask`: one list of answers, and one future for all of them."""

    __slots__ = ("answers", "closed", "done", "left", "queue", "queued", "turn")

    def __init__(
        self, prompts: Sequence[Prompt], done: "asyncio.Future[None]", *, turn: int, padded: bool
    ) -> None:
        self.turn = turn
        """Lower ones go first."""
        self.answers: list[PoolAnswer | ModelError | None] = [None] * len(prompts)
        self.left = len(prompts)
        self.done = done
        self.closed = False
        """Nobody waits for it any more: its late answers are dropped."""
        self.queued = False
        slots = [Slot(self, index, prompt) for index, prompt in enumerate(prompts)]
        if padded:
            slots.sort(key=lambda slot: (slot.prompt.task, len(slot.prompt.text)))
        else:
            slots.sort(key=lambda slot: slot.prompt.task)
        self.queue = deque(slots)

    def settle(self, slot: Slot, answer: PoolAnswer | ModelError) -> None:
        """Put an answer into its place; the last one wakes the `ask`."""
        if self.closed:
            return
        self.answers[slot.index] = answer
        self.left -= 1
        if self.left == 0:
            self.closed = True
            if not self.done.done():
                self.done.set_result(None)

    def fail(self, error: BaseException) -> None:
        """End the `ask` with an exception."""
        self.closed = True
        if not self.done.done():
            self.done.set_exception(error)


class Line:
    """Waves by their turn; within a turn and a wave, first come, first served.

    Waves aren't sent side by side: all would end at about the same time, and late. One after the
    other, half of the time passes until half of them are done, and that is what is committed when
    partitions have to be let go.
    """

    def __init__(self) -> None:
        self._waves: list[Wave] = []
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def add(self, wave: Wave) -> None:
        """Let a wave queue up behind those of its turn."""
        if wave.queue:
            self._waiting += len(wave.queue)
            wave.queued = True
            insort_right(self._waves, wave, key=_turn)

    def take(self) -> Slot | None:
        """Take the next prompt."""
        if not self._waves:
            return None
        wave = self._waves[0]
        slot = wave.queue.popleft()
        self._waiting -= 1
        if not wave.queue:
            del self._waves[0]
            wave.queued = False
        return slot

    def put_back(self, slot: Slot) -> None:
        """Return a prompt that got no answer: it is its turn's next."""
        wave = slot.wave
        if wave.closed:
            return
        wave.queue.appendleft(slot)
        self._waiting += 1
        if not wave.queued:
            wave.queued = True
            insort_left(self._waves, wave, key=_turn)

    def remove(self, wave: Wave) -> None:
        """Forget a wave."""
        if wave.queued:
            self._waves.remove(wave)
            wave.queued = False
            self._waiting -= len(wave.queue)
        wave.queue.clear()


def _turn(wave: Wave) -> int:
    return wave.turn
