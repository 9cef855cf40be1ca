"""What is a spike: each measure, weighed by the number of posts, beyond the hour of the day."""

import random
from collections.abc import Callable
from math import pi, sin
from typing import Any

import msgspec
import pytest

from monitor.detection import TrackDetector, Transition
from monitor.windows.panes import PANE_S, SPIKE_EMOTIONS
from schemas.window import PaneSums
from tests.monitor.readings import pane

HOUR, DAY = 3_600, 86_400
NOW = 2 * DAY
FEELS = 0.1
"""Usual share of posts with any one of the emotions."""


def panes(
    seed: int,
    start: int,
    seconds: float,
    *,
    share: Callable[[int], float] | float = 0.2,
    posts: int = 1,
    every_s: int = PANE_S,
    valence: float = 0.6,
    feels: float = FEELS,
    emotion: str = "",
) -> list[PaneSums]:
    """So many posts each `every_s`; `feels` is the share of those with `emotion`."""
    draw = random.Random(seed)
    made = []
    for at in range(start, start + int(seconds), every_s):
        negative = share if isinstance(share, float) else share(at)
        soft = sum(0.9 if draw.random() < negative else 0.05 for _ in range(posts))
        felt = {
            name: float(
                sum(draw.random() < (feels if name == emotion else FEELS) for _ in range(posts))
            )
            for name in SPIKE_EMOTIONS
        }
        sums = pane(at, posts, soft, people=posts)
        made.append(
            msgspec.structs.replace(sums, valence=valence * posts, labelled=float(posts), **felt)
        )
    return made


def feed(detector: TrackDetector, sums: list[PaneSums]) -> list[Transition]:
    return [one for each in sums for one in detector.feed(each)]


def spikes(transitions: list[Transition]) -> list[Transition]:
    return [one for one in transitions if one.state == "firing" and one.kind == "spike"]


@pytest.fixture(scope="module")
def calm() -> bytes:
    """Two days of six posts a minute."""
    detector = TrackDetector("trains", 0)
    assert spikes(feed(detector, panes(1, 0, NOW))) == []
    return detector.snapshot()


@pytest.mark.parametrize("emotion", SPIKE_EMOTIONS)
def test_a_rise_of_one_emotion_alone_fires_under_its_name(calm: bytes, emotion: str) -> None:
    rise = panes(2, NOW, HOUR // 2, feels=0.45, emotion=emotion)
    found = feed(TrackDetector.restore(calm), rise)
    (alarm,) = spikes(found)
    assert alarm.measure == emotion
    assert alarm.observed > alarm.expected + 0.2


@pytest.mark.parametrize("seed", range(2, 6))
def test_what_another_measure_began_is_pending_until_that_measure_is_judged_again(
    calm: bytes, seed: int
) -> None:
    """Those are judged once a minute, the share negative six times."""
    rise = panes(seed, NOW, HOUR // 2, feels=0.45, emotion="anger")
    found = feed(TrackDetector.restore(calm), rise)
    began = None
    for one in found:
        if one.state == "pending":
            began = one.at
        elif one.state == "resolved":
            assert began is not None
            assert one.at - began >= 60
    assert [one.state for one in found][-1] == "firing"


def test_a_fall_of_valence_alone_fires_and_a_rise_does_not(calm: bytes) -> None:
    (alarm,) = spikes(feed(TrackDetector.restore(calm), panes(2, NOW, HOUR, valence=0.45)))
    assert alarm.measure == "valence"
    assert alarm.observed < alarm.expected - 0.1
    assert spikes(feed(TrackDetector.restore(calm), panes(2, NOW, HOUR, valence=0.8))) == []


@pytest.mark.parametrize("rise", [{"feels": 0.45, "emotion": "anger"}, {"valence": 0.45}])
@pytest.mark.parametrize("hours", [0.5, 3.0])
def test_what_another_measure_fired_ends_with_its_rise(
    calm: bytes, rise: dict[str, Any], hours: float
) -> None:
    """The share negative, which didn't rise, says nothing about its end."""
    over = NOW + int(hours * HOUR)
    posts = panes(2, NOW, hours * HOUR, **rise) + panes(3, over, 6 * HOUR)
    found = feed(TrackDetector.restore(calm), posts)
    assert len(spikes(found)) == 1
    (end,) = [one for one in found if one.state == "resolved" and one.fired_at]
    assert over < end.at <= over + HOUR


def test_more_negative_posts_join_a_spike_and_more_posts_alone_are_none(calm: bytes) -> None:
    storm = panes(2, NOW, HOUR / 2, share=0.6, posts=4) + panes(3, NOW + HOUR // 2, HOUR)
    found = feed(TrackDetector.restore(calm), storm)
    (alarm,) = spikes(found)
    measures = {one.measure for each in found for one in each.evidence}
    assert {alarm.measure, "negative_posts"} <= measures
    assert spikes(feed(TrackDetector.restore(calm), panes(2, NOW, HOUR / 2, posts=4))) == []


def test_the_same_share_of_few_posts_says_less_than_of_many(calm: bytes) -> None:
    """Three negative posts in an hour of ten, and a hundred in one of 360."""
    few = panes(3, NOW, HOUR, share=0.35, every_s=360)
    assert feed(TrackDetector.restore(calm), few) == []
    many = panes(3, NOW, HOUR, share=0.5)
    assert len(spikes(feed(TrackDetector.restore(calm), many))) == 1


def test_a_spike_of_a_few_minutes_fires_for_five_at_least_and_once(calm: bytes) -> None:
    short = panes(4, NOW, 120, share=0.95, posts=4)
    found = feed(TrackDetector.restore(calm), short + panes(5, NOW + 120, 2 * HOUR, posts=4))
    (alarm,) = spikes(found)
    (end,) = [one for one in found if one.state == "resolved" and one.fired_at]
    assert alarm.at < NOW + 180
    assert 300 <= end.at - alarm.at < 900
    assert [one.state for one in found] == ["pending", "firing", "resolved"]


def test_a_spike_is_not_what_is_expected_after_it_and_its_like_fires_again(calm: bytes) -> None:
    detector = TrackDetector.restore(calm)
    before = detector.expected()
    storm = panes(6, NOW, HOUR, share=0.7) + panes(7, NOW + HOUR, 2 * HOUR)
    assert len(spikes(feed(detector, storm))) == 1
    assert detector.expected() == pytest.approx(before, abs=0.05)
    assert len(spikes(feed(detector, panes(8, NOW + 3 * HOUR, HOUR, share=0.7)))) == 1


def test_what_each_day_brings_at_its_hour_is_no_spike(calm: bytes) -> None:
    """The same rise within six hours fires in a track that is the same all day."""

    def by_hour(at: int) -> float:
        return 0.35 - 0.2 * sin(2 * pi * at / DAY)

    daily = TrackDetector("trains", 0)
    days = panes(9, 0, 5 * DAY, share=by_hour, every_s=20)
    known = len(days) * 3 // 5
    feed(daily, days[:known])
    assert spikes(feed(daily, days[known:])) == []
    start = NOW + 12 * HOUR
    flat = panes(10, NOW, 12 * HOUR) + panes(11, start, 6 * HOUR, share=by_hour)
    assert len(spikes(feed(TrackDetector.restore(calm), flat))) >= 1
