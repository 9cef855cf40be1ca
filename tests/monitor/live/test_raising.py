"""Which transitions are raised: no history, nothing twice, and the end of what was raised."""

from datetime import UTC, datetime, timedelta
from typing import Any

from monitor.live.alerts import Alerts, Raising
from schemas.alert import Alert
from tests.monitor.alerts import make_alert

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
WALL = NOW.timestamp()


def alert(transition: str, minutes_ago: float, alert_id: str = "a", **more: Any) -> Alert:
    at = NOW - timedelta(minutes=minutes_ago)
    return make_alert(transition, alert_id, **({"started_at": at, "at": at} | more))


def test_what_happens_now_is_raised_once() -> None:
    raising = Raising(Alerts(), history_after_s=3_600)
    found = [alert("pending", 3), alert("firing", 2)]
    assert raising.choose(found, WALL) == found
    assert raising.choose(found, WALL) == []


def test_what_is_on_the_topic_already_is_not_raised_again() -> None:
    alerts = Alerts()
    alerts.take(alert("pending", 3))
    raising = Raising(alerts, history_after_s=3_600)
    assert raising.choose([alert("pending", 3)], WALL) == []
    assert raising.choose([alert("firing", 2)], WALL) == [alert("firing", 2)]


def test_a_spike_of_long_ago_is_not_news() -> None:
    raising = Raising(Alerts(), history_after_s=3_600)
    past = [alert("pending", 300), alert("firing", 290), alert("resolved", 240)]
    assert raising.choose(past, WALL) == []
    assert raising.present(WALL, WALL) == []


def test_unless_asked() -> None:
    raising = Raising(Alerts(), history_after_s=None)
    past = [alert("pending", 300), alert("firing", 290), alert("resolved", 240)]
    assert raising.choose(past, WALL) == past


def test_the_end_of_a_told_alert_is_told_however_late_it_is_read() -> None:
    alerts = Alerts()
    alerts.take(alert("firing", 400))
    raising = Raising(alerts, history_after_s=3_600)
    assert raising.choose([alert("resolved", 300)], WALL) == [alert("resolved", 300)]


def test_the_end_of_an_untold_alert_is_not_told() -> None:
    raising = Raising(Alerts(), history_after_s=3_600)
    assert raising.choose([alert("firing", 90)], WALL) == []
    assert raising.choose([alert("resolved", 5)], WALL) == []


def test_a_spike_of_history_that_goes_on_is_told_when_the_present_is_reached() -> None:
    raising = Raising(Alerts(), history_after_s=3_600)
    assert raising.choose([alert("pending", 100), alert("firing", 90)], WALL) == []
    assert raising.present(WALL, WALL - 5_000) == []
    assert raising.present(WALL, WALL - 60) == [alert("firing", 90)]
    assert raising.present(WALL, WALL) == []
    assert raising.choose([alert("resolved", 1)], WALL) == [alert("resolved", 1)]


def test_of_what_a_start_finds_open_that_is_told_of_which_nobody_knows() -> None:
    alerts = Alerts()
    for told in (alert("firing", 40), alert("resolved", 30, "b", track="planes")):
        alerts.take(told)
    found = [
        alert("firing", 5),
        alert("firing", 5, "another", track="trains"),  # it has one that is told
        alert("firing", 5, "b", track="planes"),
        alert("firing", 5, "c", track="buses"),
    ]
    for after_s in (3_600.0, None):
        raising = Raising(alerts, history_after_s=after_s)
        raising.hold(found)
        assert raising.present(WALL, WALL - 60) == found[3:]
        assert raising.present(WALL, WALL) == []


def test_a_change_of_instrument_is_raised_although_it_never_fired() -> None:
    raising = Raising(Alerts(), history_after_s=3_600)
    changed = alert("resolved", 1, kind="instrument")
    assert raising.choose([changed], WALL) == [changed]
    assert raising.choose([alert("resolved", 90, "b", kind="level")], WALL) == []


def test_a_spike_that_goes_by_another_time_since_it_was_learnt_anew_ends_as_it_was_told() -> None:
    alerts = Alerts()
    for told in (alert("firing", 40), alert("firing", 30, "c", track="planes")):
        alerts.take(told)
    raising = Raising(alerts, history_after_s=3_600)
    assert raising.choose([alert("firing", 50, "x")], WALL) == [alert("firing", 50, "x")]
    stale, end = raising.choose([alert("stale", 20, "b"), alert("resolved", 2, "b")], WALL)
    assert [(one.alert_id, one.transition) for one in (stale, end)] == [
        ("a", "stale"),
        ("a", "resolved"),
    ]
    assert end.started_at == alert("firing", 40).started_at
    assert len({stale.id, end.id, "a-firing", "b-stale", "b-resolved"}) == 5
    # What comes then, or came before, is another one, and of another track nothing changes.
    later = [alert("pending", 1, "d"), alert("resolved", 1, "c", track="planes")]
    assert raising.choose(later, WALL) == later


def test_an_alert_of_this_term_is_told_under_its_own_id() -> None:
    alerts = Alerts()
    alerts.take(alert("firing", 40))
    raising = Raising(alerts, history_after_s=3_600)
    own = [alert("resolved", 5), alert("pending", 4, "b"), alert("resolved", 2, "b")]
    assert raising.choose(own, WALL) == own


def test_of_an_open_alert_the_severities_with_which_it_fired_are_known() -> None:
    """And not that of its newest transition alone, which is of the hour before it."""
    alerts = Alerts()
    for number, (transition, severity) in enumerate(
        [("firing", "info"), ("stale", "critical"), ("firing", "warning"), ("stale", "info")]
    ):
        fired = NOW - timedelta(minutes=30)
        alerts.take(
            alert(transition, 30 - number, id=f"t-{number}", severity=severity, fired_at=fired)
        )
    alerts.take(alert("pending", 20, "b"))
    told = [(one.transition, one.severity) for one in alerts.fired()]
    assert told == [("firing", "info"), ("firing", "warning"), ("stale", "info")]
    alerts.take(alert("resolved", 10, fired_at=NOW))
    assert alerts.fired() == []
