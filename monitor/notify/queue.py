"""What waits for one target: grouped by track, at a bounded rate, tried again until it is late."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog

from monitor.notify import log_events
from monitor.notify.message import Notification
from monitor.notify.settings import NotifySettings
from monitor.notify.target import Rejected, Target, TargetFault, Unavailable
from runtime.clock import Clock, sleep
from schemas.alert import Alert

_log = structlog.get_logger("monitor")

MAX_WAITING = 1_000
"""Transitions that wait for one target; some 5 MB. Past it the oldest track's are given up."""
_FIRST_DELAY_S, _LAST_DELAY_S = 1.0, 60.0
"""Of the tries of one message: soon at first, and no load on a target that is down for an hour."""
_BURST_S = 600.0
"""Messages of so long a time may go at once: a storm over many tracks is told in one go."""

Compose = Callable[[Sequence[Alert], NotifySettings], Awaitable[Notification]]


class QueueObserver(Protocol):
    """Told what became of each message; must be quick and must not raise."""

    def delivered(self, target: str) -> None:
        """The target took a message."""

    def retried(self, target: str) -> None:
        """It did not, this time."""

    def undelivered(self, target: str) -> None:
        """It was given up."""


class _Group:
    """Transitions of one track that become one message."""

    def __init__(self, first_at: float) -> None:
        self.first_at = first_at
        self.alerts: list[Alert] = []
        self.done: list[Callable[[], None]] = []

    def finish(self) -> None:
        for call in self.done:
            call()


class TargetQueue:
    """One target's queue and the task that empties it."""

    def __init__(
        self,
        target: Target,
        settings: NotifySettings,
        *,
        clock: Clock,
        compose: Compose,
        observer: QueueObserver,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._target = target
        self._settings = settings
        self._clock = clock
        self._compose = compose
        self._observer = observer
        self._jitter = jitter
        self._groups: dict[str, _Group] = {}
        self._changed = asyncio.Event()
        self._closing = False
        self._rate = settings.max_per_hour / 3_600
        self._burst = max(1.0, self._rate * _BURST_S)
        self._tokens, self._tokens_at = self._burst, clock.monotonic()
        self._firing: dict[str, Alert] = {}
        self._resend_s: float | None = getattr(target, "resend_s", None)
        self._resend_at = clock.monotonic() + (self._resend_s or 0.0)
        self.undelivered = 0
        """Transitions that this target was never told of, since the start."""
        self.fault: str | None = None
        """Why the latest try failed; None after one that did not."""

    @property
    def name(self) -> str:
        """The target's name."""
        return self._target.name

    @property
    def waiting(self) -> int:
        """Transitions that wait."""
        return sum(len(group.alerts) for group in self._groups.values())

    def add(self, alert: Alert, done: Callable[[], None]) -> None:
        """Queue a transition; `done` is called once it was delivered or given up."""
        group = self._groups.setdefault(alert.track, _Group(self._clock.monotonic()))
        group.alerts.append(alert)
        group.done.append(done)
        if self.waiting > MAX_WAITING:
            oldest = next(iter(self._groups))
            self._give_up(self._groups.pop(oldest), oldest, "too many wait")
        self._changed.set()

    def restore(self, firing: Sequence[Alert]) -> None:
        """These are open already: a target that wants them again and again gets them."""
        self._firing = {alert.alert_id: alert for alert in firing}
        restore: Callable[[Sequence[Alert]], None] | None = getattr(self._target, "restore", None)
        if restore is not None:
            restore(firing)

    async def run(self) -> None:
        """Empty the queue until it is closed and empty."""
        while True:
            await self._until_due()
            if self._closing and not self._groups:
                return
            if self._resend_s is not None and self._clock.monotonic() >= self._resend_at:
                await self._resend()
            track = self._due_track()
            if track is not None:
                await self._deliver(track, self._groups.pop(track))

    def close(self) -> None:
        """Wait for nothing any more: what is queued is tried at once, then `run` returns."""
        self._closing = True
        self._changed.set()

    async def aclose(self) -> None:
        """Close the target's connections."""
        await self._target.aclose()

    async def _until_due(self) -> None:
        while True:
            self._changed.clear()
            now = self._clock.monotonic()
            due = self._next_at(now)
            if due is not None and due <= now:
                return
            if self._closing and not self._groups:
                return
            timer = (
                self._clock.call_later(due - now, self._changed.set) if due is not None else None
            )
            try:
                await self._changed.wait()
            finally:
                if timer is not None:
                    timer.cancel()

    def _next_at(self, now: float) -> float | None:
        """When the next message may go (monotonic), or what fires is due again; None: never."""
        times = [self._resend_at] if self._resend_s is not None and self._firing else []
        if self._groups:
            if self._closing:
                return now
            first = min(group.first_at for group in self._groups.values())
            times.append(max(first + self._settings.group_s, self._token_at(now)))
        return min(times) if times else None

    def _due_track(self) -> str | None:
        now = self._clock.monotonic()
        if not self._closing and self._token_at(now) > now:
            return None
        for track, group in self._groups.items():
            if self._closing or group.first_at + self._settings.group_s <= now:
                return track
        return None

    def _token_at(self, now: float) -> float:
        self._tokens = min(self._burst, self._tokens + (now - self._tokens_at) * self._rate)
        self._tokens_at = now
        return now if self._tokens >= 1.0 else now + (1.0 - self._tokens) / self._rate

    async def _deliver(self, track: str, group: _Group) -> None:
        self._tokens -= 1.0
        notification = await self._compose(group.alerts, self._settings)
        until = self._clock.monotonic() + self._settings.give_up_after_s
        delay = _FIRST_DELAY_S
        while True:
            try:
                await self._target.deliver(notification)
            except Rejected as fault:
                self._give_up(group, track, str(fault))
                return
            except TargetFault as fault:
                asked = fault.retry_after_s if isinstance(fault, Unavailable) else None
                left = until - self._clock.monotonic()
                if left <= 0:
                    self._give_up(group, track, str(fault))
                    return
                # The last try is at the end of its time, though a longer wait was asked for.
                pause = min(max(delay * (0.5 + self._jitter() / 2), asked or 0.0), left)
                self.fault = str(fault)
                self._observer.retried(self.name)
                _log.warning(
                    log_events.RETRIED,
                    target=self.name,
                    track=track,
                    reason=str(fault),
                    delay_s=round(pause, 1),
                )
                await sleep(self._clock, pause)
                delay = min(delay * 2, _LAST_DELAY_S)
            else:
                self._taken(track, group)
                if self._target.interval_s:
                    await sleep(self._clock, self._target.interval_s)
                return

    def _taken(self, track: str, group: _Group) -> None:
        self.fault = None
        for alert in group.alerts:
            if alert.transition == "resolved":
                self._firing.pop(alert.alert_id, None)
            else:  # stale, too: what isn't sent again is taken for resolved
                self._firing[alert.alert_id] = alert
        self._observer.delivered(self.name)
        _log.info(
            log_events.DELIVERED,
            target=self.name,
            track=track,
            transitions=[alert.transition for alert in group.alerts],
        )
        group.finish()

    def _give_up(self, group: _Group, track: str, reason: str) -> None:
        self.undelivered += len(group.alerts)
        self.fault = reason
        for alert in group.alerts:
            if alert.transition == "resolved":  # nobody was told, but it fires no more
                self._firing.pop(alert.alert_id, None)
        self._observer.undelivered(self.name)
        _log.error(
            log_events.UNDELIVERED,
            target=self.name,
            track=track,
            reason=reason,
            transitions=[alert.transition for alert in group.alerts],
        )
        group.finish()

    async def _resend(self) -> None:
        """Send again all that fires; what fails is due again with the next round."""
        self._resend_at = self._clock.monotonic() + (self._resend_s or 0.0)
        tracks: dict[str, list[Alert]] = {}
        for alert in self._firing.values():
            tracks.setdefault(alert.track, []).append(alert)
        for alerts in tracks.values():
            try:
                await self._target.deliver(await self._compose(alerts, self._settings))
            except TargetFault as fault:
                self.fault = str(fault)
                self._observer.retried(self.name)
                return
        if tracks:
            self.fault = None
