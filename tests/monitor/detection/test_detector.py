"""The detector: what it finds, what it lets pass, and that it is the same after a restart."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.monitor.world import KINDS, STORM_S, simulate
from monitor.detection import DetectionSettings, SnapshotError, TrackDetector, Transition
from monitor.windows.panes import PANE_S
from schemas.window import PaneSums
from tests.monitor.readings import pane

DAY = 86_400


def calm_day(seed: int, days: float = 2.0, *, share: float = 0.2, start: int = 0) -> list[PaneSums]:
    """Six posts a minute, a steady share of them negative."""
    draw = random.Random(seed)
    return [
        pane(at, 1, 0.9 if draw.random() < share else 0.05)
        for at in range(start, start + int(days * DAY), PANE_S)
    ]


def feed(detector: TrackDetector, panes: list[PaneSums]) -> list[Transition]:
    return [one for sums in panes for one in detector.feed(sums)]


def fired(transitions: list[Transition]) -> list[Transition]:
    return [one for one in transitions if one.state == "firing" and one.kind == "spike"]


def after_calm(seed: int = 1) -> tuple[TrackDetector, int]:
    detector = TrackDetector("trains", 0)
    assert fired(feed(detector, calm_day(seed))) == []
    return detector, 2 * DAY


def test_a_storm_fires_once_and_resolves_after_it() -> None:
    detector, now = after_calm()
    storm = calm_day(7, STORM_S / DAY, share=0.7, start=now)
    transitions = feed(detector, storm + calm_day(8, 0.2, start=now + STORM_S))
    states = [one.state for one in transitions if one.fired_at is not None]
    assert states == ["firing", "resolved"]
    (alarm,) = fired(transitions)
    assert alarm.at - now < 420
    assert abs(alarm.started_at - now) < 300
    assert alarm.observed > alarm.expected + 0.2
    assert alarm.posts > 10
    (end,) = [one for one in transitions if one.state == "resolved" and one.fired_at]
    assert now + STORM_S < end.at < now + STORM_S + 1200


def test_nothing_is_raised_before_it_is_warm() -> None:
    detector = TrackDetector("trains", 0)
    calm = calm_day(3, 0.5)
    assert feed(detector, calm + calm_day(4, 0.1, share=0.9, start=DAY // 2)) == []
    assert not detector.warm


def test_a_joyful_surge_and_its_end_raise_nothing() -> None:
    detector, now = after_calm()
    surge = [pane(now + PANE_S * i, 5, 5 * 0.08) for i in range(270)]
    assert fired(feed(detector, surge + calm_day(9, 0.3, start=now + 2700))) == []


def test_a_gap_raises_nothing() -> None:
    detector, now = after_calm()
    assert fired(feed(detector, calm_day(9, 0.3, start=now + 3600))) == []


def test_silence_makes_an_alert_stale_and_never_resolves_it() -> None:
    detector, now = after_calm()
    feed(detector, calm_day(7, 0.01, share=0.8, start=now))
    (now_open,) = detector.still_open()
    assert (now_open.state, now_open.at) == ("firing", detector.next_pane * PANE_S + 30)
    transitions = detector.advance((now + 2 * 3600) // PANE_S)
    assert [one.state for one in transitions] == ["stale"]
    assert detector.advance((now + 20 * 3600) // PANE_S) == []
    assert detector.alert_state == "stale"
    back = feed(detector, calm_day(5, 0.1, start=now + 20 * 3600))
    assert [one.state for one in back][:2] == ["firing", "resolved"]


def test_another_instrument_is_reported_and_fires_nothing() -> None:
    detector, now = after_calm()
    draw = random.Random(5)
    other = [
        pane(at, 1, 0.9 if draw.random() < 0.6 else 0.05, reader="other")
        for at in range(now, now + DAY // 2, PANE_S)
    ]
    transitions = feed(detector, other)
    assert fired(transitions) == []
    assert [one.kind for one in transitions if one.kind == "instrument"] == ["instrument"]


def test_an_alert_that_lasts_becomes_the_usual_level() -> None:
    detector, now = after_calm()
    transitions = feed(detector, calm_day(6, 0.6, share=0.6, start=now))
    assert len(fired(transitions)) == 1
    assert "level" in {one.kind for one in transitions}
    assert detector.alert_state is None
    assert detector.expected() > 0.4


def test_a_slow_change_is_followed_without_firing() -> None:
    detector, now = after_calm()
    draw = random.Random(4)
    drift = [
        pane(at, 1, 0.9 if draw.random() < 0.2 + 0.2 * (at - now) / (2 * DAY) else 0.05)
        for at in range(now, now + 2 * DAY, PANE_S)
    ]
    assert fired(feed(detector, drift)) == []
    assert 0.3 < detector.expected() < 0.5


def test_after_a_month_without_posts_a_track_warms_again_as_if_it_were_new() -> None:
    now = 40 * DAY
    new, known = TrackDetector("trains", now // PANE_S), after_calm()[0]
    panes = calm_day(5, 0.2, start=now) + calm_day(6, 0.1, share=0.8, start=now + DAY // 5)
    assert feed(known, panes) == feed(new, panes) == []
    assert not known.warm
    assert known.expected() == pytest.approx(new.expected(), abs=1e-4)


def test_panes_that_come_again_change_nothing() -> None:
    detector, now = after_calm()
    before = detector.snapshot()
    assert feed(detector, calm_day(1)[-100:]) == []
    assert detector.snapshot() == before
    assert detector.next_pane == now // PANE_S


STORMY = (
    calm_day(1, 1.1)
    + calm_day(2, 0.03, share=0.75, start=int(1.1 * DAY))
    + calm_day(3, 0.1, start=int(1.13 * DAY) // 10 * 10)
)


@pytest.fixture(scope="module")
def unbroken() -> list[Transition]:
    transitions = feed(TrackDetector("trains", 0), STORMY)
    assert fired(transitions)
    return transitions


@settings(max_examples=8, deadline=None)
@given(cut=st.integers(9_400, len(STORMY) - 1))
def test_a_snapshot_goes_on_where_the_detector_stopped(
    unbroken: list[Transition], cut: int
) -> None:
    first = TrackDetector("trains", 0)
    transitions = feed(first, STORMY[:cut])
    second = TrackDetector.restore(first.snapshot())
    assert transitions + feed(second, STORMY[cut:]) == unbroken


def test_dismissing_stretches_at_a_glance_changes_nothing_that_is_said(
    unbroken: list[Transition], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.detection.detector.lowest_expected", lambda _forecasts: -1.0)
    assert feed(TrackDetector("trains", 0), STORMY) == unbroken


def test_a_snapshot_of_another_kind_is_refused() -> None:
    with pytest.raises(SnapshotError):
        TrackDetector.restore(b"not a snapshot")


def test_the_same_hour_is_known_a_day_later() -> None:
    detector, now = after_calm()
    yesterday = detector.same_hour(now - 1800, 1)
    assert yesterday is not None
    assert 0.1 < yesterday < 0.35
    assert detector.same_hour(now, 7) is None


def test_memory_is_bounded_by_the_longest_stretch() -> None:
    detector, now = after_calm()
    size = len(detector.snapshot())
    feed(detector, calm_day(12, 1.0, start=now))
    assert len(detector.snapshot()) < 1.5 * size


def test_the_knob_lowers_the_threshold_and_a_busy_track_raises_it() -> None:
    strict, loose = DetectionSettings(false_alarms=0.1), DetectionSettings(false_alarms=2)
    assert strict.threshold(1, 0.1) > loose.threshold(1, 0.1)
    assert loose.threshold(10, 0.1) > loose.threshold(1, 0.1)
    assert loose.threshold(1, 0.05) > loose.threshold(1, 0.1)


def test_storms_of_a_simulated_track_are_found_and_little_else() -> None:
    track = simulate(KINDS[0], 8.0, 3, days=5)
    detector = TrackDetector("track", 0)
    alarms = [
        one.at for sums in track.panes for one in detector.feed(sums) if one.state == "firing"
    ]
    big = [storm for storm in track.storms if storm.size >= 0.3]
    assert big
    for storm in big:
        assert any(storm.at < at < storm.at + STORM_S for at in alarms)
    others = [
        at for at in alarms if not any(s.at < at < s.at + STORM_S + 600 for s in track.storms)
    ]
    assert len(others) <= 1
