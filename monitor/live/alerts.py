"""The alerts as their topic tells them: transitions, what people did, and which are open."""

from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_OID, uuid5

import msgspec
from msgspec import UNSET

from monitor.page.data import AlertView
from schemas.alert import Alert, AlertAction, AlertState, Measure, Severity

SHOWN = 200
_KEPT = 1_000
"""Alerts in memory, open ones aside; each some kilobytes."""
_MOST_ACTIONS = 200
"""Of one alert: more is no conversation."""
_DONE: frozenset[AlertState] = frozenset({"resolved"})


class Alerts:
    """Everything on the alerts' topic, in bounded memory."""

    def __init__(self) -> None:
        self._alerts: dict[str, AlertView] = {}
        self._said: dict[str, None] = {}
        """Ids of transitions."""
        self._open: dict[str, dict[str, None]] = {}
        """By track, the ids of its open alerts: tracks are asked for theirs all the time."""
        self._fired: dict[str, dict[Severity, Measure]] = {}
        """By open alert, the severities with which it fired, the first one first."""

    def take(self, record: Alert | AlertAction) -> AlertView | None:
        """Take a record of the topic; give the alert as it is now, None where nothing changed."""
        view = self._alerts.get(record.alert_id)
        if isinstance(record, AlertAction):
            if view is None or any(one.id == record.id for one in view.actions):
                return None
            actions = (*view.actions, record)[-_MOST_ACTIONS:]
            changed = AlertView(alert=view.alert, transitions=view.transitions, actions=actions)
        else:
            if record.id in self._said:
                return None
            self._said[record.id] = None
            self._note_open(record)
            before = view.transitions if view else ()
            changed = AlertView(
                alert=record,
                transitions=(*before, (record.transition, record.at)),
                actions=view.actions if view else (),
            )
        self._alerts[record.alert_id] = changed
        self._forget()
        return changed

    def has(self, transition_id: str) -> bool:
        """Whether this transition is on the topic already."""
        return transition_id in self._said

    def knows(self, alert_id: str) -> bool:
        """Whether there is such an alert."""
        return alert_id in self._alerts

    def get(self, alert_id: str) -> AlertView | None:
        """The alert as it is now."""
        return self._alerts.get(alert_id)

    def is_open(self, alert_id: str) -> bool:
        """Whether its firing was written, and not that it is over."""
        view = self._alerts.get(alert_id)
        return view is not None and view.alert.transition not in _DONE

    def open_of(self, track: str) -> Alert | None:
        """The track's open alert."""
        newest = next(reversed(self._open.get(track, ())), None)
        return None if newest is None else self._alerts[newest].alert

    def open(self) -> list[Alert]:
        """All that are open, by the time of their newest transition."""
        ids = [alert_id for known in self._open.values() for alert_id in known]
        return sorted((self._alerts[one].alert for one in ids), key=lambda alert: alert.at)

    def fired(self) -> list[Alert]:
        """Of the open alerts that have fired: how each did, then its newest transition.

        By the severity of its firings it was decided who is told.
        """
        found: list[Alert] = []
        for alert in self.open():
            if alert.fired_at is not UNSET:
                found += [
                    msgspec.structs.replace(
                        alert, transition="firing", severity=severity, measure=measure
                    )
                    for severity, measure in self._fired.get(alert.alert_id, {}).items()
                ]
                found.append(alert)
        return found

    def shown(self) -> list[AlertView]:
        """Open ones first, then the newest past ones."""
        views = sorted(
            self._alerts.values(),
            key=lambda view: (self.is_open(view.alert.alert_id), view.alert.at),
            reverse=True,
        )
        return views[:SHOWN]

    def _note_open(self, alert: Alert) -> None:
        known = self._open.setdefault(alert.track, {})
        if alert.transition not in _DONE:
            known[alert.alert_id] = None
            if alert.transition == "firing":
                fired = self._fired.setdefault(alert.alert_id, {})
                fired.setdefault(alert.severity, alert.measure)
            return
        self._fired.pop(alert.alert_id, None)
        known.pop(alert.alert_id, None)
        if not known:
            del self._open[alert.track]

    def _forget(self) -> None:
        if len(self._alerts) > _KEPT:
            past = [one for one in self._alerts if not self.is_open(one)]
            for alert_id in past[: len(self._alerts) - _KEPT]:
                del self._alerts[alert_id]
        while len(self._said) > 20 * _KEPT:
            del self._said[next(iter(self._said))]


def is_history(alert: Alert, wall: float, after_s: float) -> bool:
    """Whether it tells of a time too long ago to be news."""
    return alert.at < datetime.fromtimestamp(wall, UTC) - timedelta(seconds=after_s)


class Raising:
    """Which transitions are written: none twice, and of history only the end of what was.

    A spike of long ago, met while catching up, isn't news. One that was told already still gets
    its end, and one that goes on into the present is told when the present is reached.
    """

    def __init__(self, alerts: Alerts, *, history_after_s: float | None) -> None:
        """`history_after_s` None: everything is written, however old."""
        self._alerts = alerts
        self._after_s = history_after_s
        self._held: dict[str, Alert] = {}
        self._just_written: set[str] = set()
        self._open: set[str] = set()
        """Transitions written in this term whose record may not have been read back yet."""
        self._inherited = {alert.track: alert for alert in alerts.open() if alert.kind == "spike"}
        """By track, the alert that was open when this term began."""

    def hold(self, found: list[Alert]) -> None:
        """Keep those of which the topic knows nothing, as history that may go on.

        A monitor that was catching up when it ended had not told of them yet, and of a track that
        is new nobody was told what was found while it was warmed.
        """
        for alert in found:
            if alert.track not in self._inherited and not self._alerts.knows(alert.alert_id):
                self._held[alert.alert_id] = alert

    def choose(self, found: list[Alert], wall: float) -> list[Alert]:
        """The transitions to write now, in order. `wall`: Unix seconds."""
        chosen: list[Alert] = []
        for one in found:
            alert = self._as_told(one)
            if self._is_news(alert, wall):
                self._say(alert)
                chosen.append(alert)
        if len(self._just_written) > _KEPT:
            self._just_written = {one for one in self._just_written if not self._alerts.has(one)}
        return chosen

    def present(self, wall: float, watermark: float) -> list[Alert]:
        """What was held back as history and still goes on when event time reaches the present."""
        past = self._after_s is not None and wall - watermark > self._after_s
        if past or not self._held:
            return []
        held, self._held = list(self._held.values()), {}
        for alert in held:
            self._say(alert)
        return held

    def _as_told(self, alert: Alert) -> Alert:
        """The transition, by the id that the track's open alert was told under.

        An alert's id goes by the time at which it became pending. A detector that was learnt again
        may find another time for the same spike: its id was never told, and the one that was would
        have no end. A track has one open alert at most, so it is that one.
        """
        known = self._inherited.get(alert.track)
        if known is None or alert.kind != "spike" or alert.at < known.at:
            return alert
        same = alert.alert_id == known.alert_id
        if not same and self._alerts.is_open(alert.alert_id):
            return alert
        if alert.transition == "resolved":
            del self._inherited[alert.track]
        if same:
            return alert
        named = f"{known.alert_id}\n{alert.transition}\n{alert.at.timestamp():.0f}"
        return msgspec.structs.replace(
            alert,
            id=str(uuid5(NAMESPACE_OID, named)),
            alert_id=known.alert_id,
            started_at=known.started_at,
            fired_at=known.fired_at,
        )

    def _say(self, alert: Alert) -> None:
        self._just_written.add(alert.id)
        if alert.transition == "resolved":
            self._open.discard(alert.alert_id)
        else:
            self._open.add(alert.alert_id)

    def _is_news(self, alert: Alert, wall: float) -> bool:
        if self._alerts.has(alert.id) or alert.id in self._just_written:
            return False
        told = alert.alert_id in self._open or self._alerts.is_open(alert.alert_id)
        held = self._held.pop(alert.alert_id, None) is not None
        ends = alert.kind == "spike" and alert.transition == "resolved"
        if ends and (held or not told):
            return told
        if told or not self._is_history(alert, wall):
            return True
        if alert.kind == "spike":
            self._held[alert.alert_id] = alert
        return False

    def _is_history(self, alert: Alert, wall: float) -> bool:
        return self._after_s is not None and is_history(alert, wall, self._after_s)
