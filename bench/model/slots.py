"""A server of fixed capacity: so many prompts at once, so long each, first come, first served."""

from collections import deque
from collections.abc import Callable
from typing import Protocol

_TICK_S = 0.0005
"""libuv's timers fire on whole milliseconds, half of one early or late: due is due within it."""


class Timer(Protocol):
    """What a loop's `call_later` gives."""

    def cancel(self) -> None:
        """Don't call."""


class Job:
    """One prompt; `done` is called when its time is over."""

    __slots__ = ("done", "dropped", "due", "since")

    def __init__(self, done: Callable[["Job"], None]) -> None:
        self.done = done
        self.since = 0.0
        """When its turn came; on the schedule, not when a late timer noticed."""
        self.due = 0.0
        self.dropped = False
        """Nobody wants it any more, and it was not yet its turn."""


class Slots:
    """Runs jobs `count` at a time, `latency_s` each.

    A slot's next job begins when its last one was *due*, however late the timer noticed: while
    jobs wait, exactly `count / latency_s` are done a second, and nothing drifts.
    """

    def __init__(
        self,
        count: int,
        latency_s: float,
        *,
        clock: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], Timer],
    ) -> None:
        self._free = count
        self._latency_s = latency_s
        self._clock = clock
        self._call_later = call_later
        self._timer: Timer | None = None
        self._running: deque[Job] = deque()  # by due time: all take equally long
        self._waiting: deque[Job] = deque()
        self._dropped = 0
        self.busy_s = 0.0
        """Slot-seconds of jobs that ended."""

    @property
    def under_way(self) -> int:
        """Jobs in a slot."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Jobs whose turn hasn't come."""
        return len(self._waiting) - self._dropped

    def add(self, job: Job) -> None:
        """Run it now, or as soon as a slot is free."""
        if self._free:
            self._free -= 1
            self._begin(job, self._clock())
        else:
            self._waiting.append(job)

    def drop(self, job: Job) -> float:
        """Forget a job, as TGI does when its client hangs up; slot-seconds it had taken."""
        if job not in self._running:
            job.dropped = True
            self._dropped += 1
            return 0.0
        self._running.remove(job)
        now = self._clock()
        taken = min(self._latency_s, max(0.0, now - job.since))
        self.busy_s += taken
        self._next(now)
        return taken

    def clear(self) -> list[Job]:
        """Forget all jobs at once; those that were under way or waited."""
        now = self._clock()
        gone = [job for job in (*self._running, *self._waiting) if not job.dropped]
        self.busy_s += sum(max(0.0, now - job.since) for job in self._running)
        self._free += len(self._running)
        self._running.clear()
        self._waiting.clear()
        self._dropped = 0
        return gone

    def _begin(self, job: Job, since: float) -> None:
        job.since, job.due = since, since + self._latency_s
        # A job that was dropped may have freed a slot early: then the order needs care.
        at = len(self._running)
        while at and self._running[at - 1].due > job.due:
            at -= 1
        self._running.insert(at, job)
        if self._timer is None:
            self._arm()

    def _arm(self) -> None:
        delay = max(0.0, self._running[0].due - self._clock())
        self._timer = self._call_later(delay, self._tick)

    def _tick(self) -> None:
        now = self._clock() + _TICK_S
        while self._running and self._running[0].due <= now:
            job = self._running.popleft()
            self.busy_s += self._latency_s
            self._next(job.due)
            job.done(job)
        self._timer = None
        if self._running:
            self._arm()

    def _next(self, since: float) -> None:
        """Give a slot that is free since then to the next job."""
        while self._waiting:
            job = self._waiting.popleft()
            if not job.dropped:
                self._begin(job, since)
                return
            self._dropped -= 1
        self._free += 1
