"""Prompts that wait for a server, in fair turns."""

import asyncio
from collections import deque
from collections.abc import Sequence

from emollm.errors import ModelError
from emollm.protocol import PoolAnswer, Prompt

TURN = 8
"""Prompts that one `ask` sends before the next has its turn: few enough to be fair, enough that
neighbours of one task (one cached prefix) and of one length (little padding) go out together."""


class Slot:
    """One prompt of one `ask`, and what happened to it so far."""

    __slots__ = ("attempts", "index", "prompt", "strikes", "trials", "wave")

    def __init__(self, wave: "Wave", index: int, prompt: Prompt) -> None:
        self.wave = wave
        self.index = index
        self.prompt = prompt
        self.attempts = 0
        """Requests that were sent for it."""
        self.strikes = 0
        """Failures in company."""
        self.trials = 0
        """Failures alone."""


class Wave:
    """The prompts of one `ask`: one list of answers, and one future for all of them."""

    __slots__ = ("answers", "closed", "done", "left", "queue", "queued")

    def __init__(
        self, prompts: Sequence[Prompt], done: "asyncio.Future[None]", *, padded: bool
    ) -> None:
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


class FairQueue:
    """Waves take turns; within a wave the prompts keep their order."""

    def __init__(self) -> None:
        self._waves: deque[Wave] = deque()
        self._turn = TURN
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def add(self, wave: Wave) -> None:
        """Let a wave queue up behind the others."""
        if wave.queue:
            self._waiting += len(wave.queue)
            wave.queued = True
            self._waves.append(wave)

    def take(self) -> Slot | None:
        """Take the next prompt."""
        if not self._waves:
            return None
        wave = self._waves[0]
        slot = wave.queue.popleft()
        self._waiting -= 1
        self._turn -= 1
        if not wave.queue:
            self._waves.popleft()
            wave.queued = False
            self._turn = TURN
        elif self._turn <= 0:
            self._waves.rotate(-1)
            self._turn = TURN
        return slot

    def put_back(self, slot: Slot) -> None:
        """Return a prompt that got no answer: it is its wave's next."""
        wave = slot.wave
        if wave.closed:
            return
        wave.queue.appendleft(slot)
        self._waiting += 1
        if not wave.queued:
            wave.queued = True
            self._waves.append(wave)

    def remove(self, wave: Wave) -> None:
        """Forget a wave."""
        if wave.queued:
            self._waves.remove(wave)
            wave.queued = False
            self._waiting -= len(wave.queue)
            self._turn = TURN
        wave.queue.clear()
