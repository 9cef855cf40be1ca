"""Prometheus's Alertmanager, API v2: it groups, silences and routes by its own rules."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from monitor.notify.http import Poster
from monitor.notify.message import Notification
from monitor.notify.settings import NotifySettings
from monitor.notify.target import TargetFault
from runtime.clock import Clock
from schemas.alert import Alert

_REMEMBERED = 10_000
"""Alerts whose labels are kept until they resolve; some 5 MB."""
_RESENDS = 4
"""An alert ends by itself after so many intervals without us, as Prometheus's own alerts do."""


class Alertmanager:
    """POSTs to `/api/v2/alerts` of every replica.

    Labels are an alert's identity there (`alertname`, `track`, `measure`, `severity`); all else is
    an annotation. What fires or is stale must be sent again before `endsAt`: see `Notifier`.
    """

    interval_s = 0.0

    def __init__(self, settings: NotifySettings, *, clock: Clock) -> None:
        self.name = settings.name
        self.resend_s = settings.resend_s
        """How often the notifier sends again what fires."""
        self._urls = tuple(f"{url.rstrip('/')}/api/v2/alerts" for url in settings.urls)
        self._clock = clock
        self._poster = Poster(timeout_s=settings.timeout_s)
        self._labels: dict[str, dict[str, str]] = {}
        """By alert, as they were first sent: with others its end would be another alert's."""

    def restore(self, firing: Sequence[Alert]) -> None:
        """These were sent before the start; the first of each alert as it was first sent."""
        for alert in firing:
            self._labels_of(alert)

    async def deliver(self, notification: Notification) -> None:
        """POST it to every replica, though one fails; see `Target.deliver`."""
        now = datetime.fromtimestamp(self._clock.wall(), UTC)
        body = msgspec.json.encode(
            [self._alert(alert, notification, now) for alert in notification.alerts]
        )
        faults: list[TargetFault] = []
        for url in self._urls:
            try:
                await self._poster.post(url, body, {"Content-Type": "application/json"})
            except TargetFault as fault:
                faults.append(fault)
        if len(faults) == len(self._urls):  # replicas tell each other: one that has it is enough
            raise faults[0]
        for alert in notification.alerts:
            if alert.transition == "resolved":
                self._labels.pop(alert.alert_id, None)

    def _alert(self, alert: Alert, notification: Notification, now: datetime) -> dict[str, object]:
        ends = now + timedelta(seconds=_RESENDS * self.resend_s)
        if alert.transition == "resolved":
            ends = now
        annotations = {
            "summary": notification.title,
            "description": "\n".join([*notification.lines, *notification.examples]),
            "alert_id": alert.alert_id,
            "observed": f"{alert.observed:g}",
            "expected": f"{alert.expected:g}",
            "posts": str(alert.posts),
            "state": alert.transition,
        }
        found: dict[str, object] = {
            "labels": self._labels_of(alert),
            "annotations": annotations,
            # Event time may lie before or after the wall clock; Alertmanager refuses an end that is
            # before its start.
            "startsAt": min(alert.started_at, now),
            "endsAt": ends,
        }
        if notification.link is not None:
            found["generatorURL"] = notification.link
        return found

    def _labels_of(self, alert: Alert) -> dict[str, str]:
        labels = {
            "alertname": "EmostreamNegativeSpike",
            "track": alert.track,
            "measure": alert.measure,
            "severity": alert.severity,
        }
        if len(self._labels) >= _REMEMBERED:
            del self._labels[next(iter(self._labels))]
        return self._labels.setdefault(alert.alert_id, labels)

    async def aclose(self) -> None:
        """Close its connections."""
        await self._poster.aclose()
