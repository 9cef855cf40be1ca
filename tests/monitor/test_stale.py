"""An alert whose data stopped, and came back."""

from monitor.detection import DetectionSettings, TrackDetector, Transition
from schemas.window import PaneSums

FIRST = 1_800_000_000 // 60 * 6
HOUR = 360
"""Panes."""


def pane(index: int, posts: int, negative: int) -> PaneSums:
    calm = posts - negative
    return PaneSums(
        at=(FIRST + index) * 10,
        posts=posts,
        scored=posts,
        soft=0.9 * negative + 0.1 * calm,
        soft_squares=0.81 * negative + 0.01 * calm,
        negative=negative,
        valence=0.3 * negative + 0.6 * calm,
        people=negative,
        readers={"model": posts},
    )


def test_one_that_was_only_pending_is_judged_on_and_not_taken_for_one_that_lasts() -> None:
    detector = TrackDetector("trains", FIRST, DetectionSettings(warm_s=7_200))
    said: list[Transition] = []
    at = 0
    for at in range(5 * HOUR):
        said += detector.feed(pane(at, 4, 1 if at % 3 else 2))
    while not said:
        at += 1
        said += detector.feed(pane(at, 4, 3))
    assert [one.state for one in said] == ["pending"]
    usual = detector.expected()
    said += detector.advance(FIRST + at + HOUR)
    for again in range(at + HOUR, at + HOUR + 60):
        said += detector.feed(pane(again, 4, 1))
    assert [one.state for one in said] == ["pending", "stale", "pending", "resolved"]
    assert said[-1].note == "it passed before it fired"
    assert said[-1].fired_at is None
    assert abs(detector.expected() - usual) < 0.05  # the level isn't moved to what passed


def test_one_that_fired_before_a_long_silence_is_not_taken_for_one_that_lasts() -> None:
    """Seven hours without posts say nothing: least of all that its mood is the usual one now."""
    detector = TrackDetector("trains", FIRST, DetectionSettings(warm_s=7_200))
    said: list[Transition] = []
    at = 0
    for at in range(5 * HOUR):
        said += detector.feed(pane(at, 4, 1 if at % 3 else 2))
    while not said or said[-1].state != "firing":
        at += 1
        said += detector.feed(pane(at, 4, 4))
    usual = detector.expected()
    said += detector.advance(FIRST + at + 7 * HOUR)
    detector = TrackDetector.restore(detector.snapshot(), DetectionSettings(warm_s=7_200))
    for again in range(at + 7 * HOUR, at + 8 * HOUR):
        said += detector.feed(pane(again, 4, 1 if again % 3 else 2))
    states = ["pending", "firing", "stale", "firing", "resolved"]
    assert [(one.kind, one.state) for one in said] == [("spike", state) for state in states]
    assert said[-1].note is None
    assert abs(detector.expected() - usual) < 0.05
