"""What the page shows as usual is what the alerts call expected: the detector's, by event time."""

import asyncio
from itertools import pairwise

import msgspec
import pytest
from msgspec import UNSET

from monitor.live.bands import judged
from monitor.settings import Settings
from schemas import AffectEvent, Sentiment
from schemas.alert import Alert
from schemas.window import Expected, Window
from tests.monitor.live.made import T0
from tests.monitor.live.rig import TermRig
from tests.monitor.live.stage import mood

HOUR = 3_600.0
CALM = 30 * HOUR
STORM_S = 900.0


def spoken(events: list[AffectEvent]) -> list[AffectEvent]:
    """The same with milder words: the share negative sees the storm before the valence does."""
    return [
        msgspec.structs.replace(
            one,
            sentiment=Sentiment(valence=0.30 if one.emotions == ("anger",) else 0.56),
            emotions=(),
        )
        for one in events
    ]


async def stormy() -> TermRig:
    made = TermRig(Settings.model_validate({"monitor": {"warm_s": 7_200}}), T0.timestamp() + CALM)
    await made.read(*spoken(mood(0, CALM, every_s=30, negative=0.3)))
    made.clock.now += STORM_S
    await made.read(*spoken(mood(CALM, CALM + STORM_S, every_s=3, negative=0.8)))
    return made


@pytest.fixture(scope="module")
def rig() -> TermRig:
    """A term that has seen a calm day and a storm."""
    return asyncio.run(stormy())


def expected_at(window: Window) -> Expected:
    assert not isinstance(window.expected, type(UNSET))
    return window.expected


def test_an_alert_expects_what_the_windows_before_it_say(rig: TermRig) -> None:
    firing = next(one for one in rig.journal.alerts if one.transition == "firing")
    assert firing.measure == "negative_share"
    before = [one for one in rig.journal.windows if one.start <= firing.started_at]
    soft = expected_at(before[-1]).negative_soft
    assert not isinstance(soft, type(UNSET))
    assert soft.expected == pytest.approx(firing.expected, abs=0.02)
    assert soft.low < soft.expected < soft.high


def test_what_an_alert_observed_is_what_the_minutes_of_its_storm_show(rig: TermRig) -> None:
    firing = next(one for one in rig.journal.alerts if one.transition == "firing")
    storm = storm_of(firing, rig.journal.windows)
    assert judged(storm) == pytest.approx(firing.observed, abs=0.05)
    high = max(value_of(one) for one in storm)
    assert firing.observed > high  # above the band that the page draws


def storm_of(alert: Alert, windows: list[Window]) -> list[Window]:
    return [one for one in windows if one.start >= alert.started_at and one.end <= alert.at]


def value_of(window: Window) -> float:
    soft = expected_at(window).negative_soft
    assert not isinstance(soft, type(UNSET))
    return soft.high


def test_nothing_is_expected_while_the_baseline_warms(rig: TermRig) -> None:
    first = rig.journal.windows[:100]
    assert all(isinstance(one.expected, type(UNSET)) for one in first)


def test_most_calm_minutes_lie_within_their_band(rig: TermRig) -> None:
    calm = [one for one in rig.journal.windows if one.start.timestamp() < T0.timestamp() + CALM]
    within = 0
    judged_minutes = [one for one in calm if not isinstance(one.expected, type(UNSET))]
    for one in judged_minutes:
        share, soft = judged([one]), expected_at(one).negative_soft
        assert share is not None
        assert not isinstance(soft, type(UNSET))
        within += soft.low <= share <= soft.high
    assert len(judged_minutes) > 1_000
    assert within / len(judged_minutes) > 0.9


def test_the_band_does_not_follow_the_storm(rig: TermRig) -> None:
    firing = next(one for one in rig.journal.alerts if one.transition == "firing")
    after = [one for one in rig.journal.windows if one.start >= firing.at]
    middles = []
    for one in after:
        soft = expected_at(one).negative_soft
        assert not isinstance(soft, type(UNSET))
        middles.append(soft.expected)
    assert len(middles) > 3
    assert all(abs(b - a) < 0.02 for a, b in pairwise(middles))
    assert max(middles) < firing.expected + 0.1
