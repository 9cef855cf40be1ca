"""Transitions in, messages to every target out."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

import structlog
from msgspec import UNSET

from monitor.notify import log_events
from monitor.notify.message import Notification, compose
from monitor.notify.queue import QueueObserver, TargetQueue
from monitor.notify.settings import NotifySettings
from monitor.notify.target import Target
from runtime.clock import Clock
from schemas.alert import Alert, Severity

_log = structlog.get_logger("monitor")

_SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
_REMEMBERED = 10_000
"""Open alerts of which something is kept; those that a mute kept from being told take 20 MB."""

Examples = Callable[[Alert], Awaitable[Sequence[str]]]
"""The texts of an alert's example posts, looked up when they are wanted."""


class NullObserver:
    """Counts nothing."""

    def delivered(self, target: str) -> None:
        """Ignore."""

    def retried(self, target: str) -> None:
        """Ignore."""

    def undelivered(self, target: str) -> None:
        """Ignore."""


async def no_examples(alert: Alert) -> Sequence[str]:  # noqa: ARG001 - the seam's signature
    """Quote no post."""
    return ()


class Notifier:
    """Tells every target of the transitions that its settings want, each once.

    That a muted track fires is told to nobody, nor how that ends. What still fires when the mute
    ends is told then (`tell_unmuted`); who was told before the mute is told the end, mute or not.
    Runs on one event loop; call `start` before anything is offered.
    """

    def __init__(
        self,
        targets: Sequence[tuple[Target, NotifySettings]],
        *,
        clock: Clock,
        is_muted: Callable[[str, datetime], bool] = lambda _track, _at: False,
        examples: Examples = no_examples,
        page_url: str = "",
        observer: QueueObserver | None = None,
    ) -> None:
        self._clock = clock
        self._is_muted = is_muted
        self._examples = examples
        self._page_url = page_url
        self._queues = [
            (
                TargetQueue(
                    target,
                    settings,
                    clock=clock,
                    compose=self._compose,
                    observer=observer or NullObserver(),
                ),
                settings,
            )
            for target, settings in targets
        ]
        self._tasks: list[asyncio.Task[None]] = []
        self._severities: OrderedDict[str, Severity] = OrderedDict()
        """By open alert, the highest severity with which it fired."""
        self._untold: OrderedDict[str, Alert] = OrderedDict()
        """By open alert whose firing a mute kept from being told, its newest transition."""
        self._told: OrderedDict[str, None] = OrderedDict()
        """Open alerts of which a firing was told: their ends are, too, mute or not."""
        self.muted = 0
        """Transitions that a mute kept from being told, since the start."""

    def start(
        self,
        firing: Sequence[Alert] = (),
        *,
        was_muted: Callable[[Alert], bool] = lambda _alert: True,
    ) -> None:
        """Begin; `firing` are the alerts that fire already, or did before they became stale.

        Of each how it fired, where that is known, then its newest transition. Targets that want it
        are told of them again, and all of those whose track is muted now, once it isn't.
        `was_muted` says of these whether it was muted already when they fired: who was told then is
        told the end.
        """
        told: list[tuple[Alert, Severity]] = []
        for alert in firing:
            severity = self._severity(alert)
            if not self._keep_back(alert) or not was_muted(alert):
                self._remember_told(alert)
                told.append((alert, severity))
        for queue, settings in self._queues:
            queue.restore([alert for alert, severity in told if _wants(settings, alert, severity)])
            self._tasks.append(asyncio.create_task(queue.run(), name=f"notify {queue.name}"))

    @property
    def tasks(self) -> Sequence[asyncio.Task[None]]:
        """The tasks that deliver, to be watched: none ends before `aclose`."""
        return tuple(self._tasks)

    def offer(self, alert: Alert) -> asyncio.Future[None]:
        """Queue a transition for all targets that want it.

        Returns:
            A future that is done once each of them has it, or gave it up (logged and counted): then
            it needs never be offered again.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        severity = self._severity(alert)
        wanted = [queue for queue, settings in self._queues if _wants(settings, alert, severity)]
        if self._silenced(alert):
            wanted = []
        left = len(wanted)

        def one_less() -> None:
            nonlocal left
            left -= 1
            if left == 0 and not done.done():
                done.set_result(None)

        for queue in wanted:
            queue.add(alert, one_less)
        if not wanted:
            done.set_result(None)
        return done

    def tell_unmuted(self) -> None:
        """Tell of the alerts that fire still, and whose track is muted no longer."""
        now = self._now()
        for alert in tuple(self._untold.values()):
            if alert.transition == "firing" and not self._is_muted(alert.track, now):
                self.offer(alert)

    @property
    def undelivered(self) -> int:
        """Transitions that some target was never told of, since the start."""
        return sum(queue.undelivered for queue, _ in self._queues)

    @property
    def waiting(self) -> int:
        """Transitions that wait for some target."""
        return sum(queue.waiting for queue, _ in self._queues)

    def problems(self) -> list[str]:
        """A sentence for each target that doesn't take notifications."""
        return [
            f"{queue.name} took no notification at the last try: {queue.fault}"
            for queue, _ in self._queues
            if queue.fault is not None
        ]

    async def aclose(self, *, within_s: float) -> None:
        """Try what waits once more, for `within_s` seconds at most, then close.

        What was not delivered by then keeps its future pending: it is not to be committed.
        """
        for queue, _ in self._queues:
            queue.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for queue, _ in self._queues:
            await queue.aclose()

    def _silenced(self, alert: Alert) -> bool:
        if alert.transition == "firing":
            if self._keep_back(alert):
                self.muted += 1
                return True
            self._untold.pop(alert.alert_id, None)
            self._remember_told(alert)
            return False
        told = alert.alert_id in self._told
        kept_back = alert.alert_id in self._untold
        if alert.transition == "resolved":
            self._untold.pop(alert.alert_id, None)
            self._told.pop(alert.alert_id, None)
        elif kept_back:
            self._untold[alert.alert_id] = alert
        if told or not kept_back:
            return False
        self.muted += 1
        return True

    def _severity(self, alert: Alert) -> Severity:
        """The severity that decides who is told.

        Each transition has its own, by who posted within the hour before it. Who was told that an
        alert fires is told how it ends, and nobody else.
        """
        severity = self._severities.pop(alert.alert_id, alert.severity)
        if alert.transition == "firing":
            severity = max(severity, alert.severity, key=_SEVERITIES.index)
        if alert.transition != "resolved":
            self._severities[alert.alert_id] = severity
        if len(self._severities) > _REMEMBERED:
            self._severities.popitem(last=False)
        return severity

    def _keep_back(self, alert: Alert) -> bool:
        """Whether its track is muted; then its firing is kept for later."""
        if not self._is_muted(alert.track, self._now()):
            return False
        self._untold[alert.alert_id] = alert
        if len(self._untold) > _REMEMBERED:
            self._untold.popitem(last=False)
        return True

    def _remember_told(self, alert: Alert) -> None:
        self._told[alert.alert_id] = None
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.wall(), UTC)

    async def _compose(self, alerts: Sequence[Alert], settings: NotifySettings) -> Notification:
        examples: Sequence[str] = ()
        if settings.include_text:
            try:
                examples = await self._examples(alerts[-1])
            except Exception as error:  # noqa: BLE001 - an alert is told, whatever its posts do
                _log.warning(log_events.EXAMPLES_MISSING, error=type(error).__name__)
        return compose(alerts, page_url=self._page_url, examples=examples)


def _wants(settings: NotifySettings, alert: Alert, severity: Severity) -> bool:
    return (
        alert.kind == "spike"
        and alert.fired_at is not UNSET  # what passed before it fired is no news
        and alert.transition in settings.transitions
        and _SEVERITIES.index(severity) >= _SEVERITIES.index(settings.min_severity)
        and (not settings.tracks or alert.track in settings.tracks)
    )
