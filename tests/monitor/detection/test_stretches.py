"""Stretches: what the quick look dismisses, the thorough one dismisses, too."""

import pytest

from bench.monitor.world import KINDS, simulate
from monitor.detection import DetectionSettings, TrackDetector, stretches


@pytest.mark.parametrize("rate", [1.0, 12.0])
def test_a_quick_look_changes_nothing_that_is_reported(
    rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    track = simulate(KINDS[9], rate, 5, days=3)
    looked: list[bool] = []
    quick = stretches.nothing_stands_out

    def count(*args: object) -> bool:
        looked.append(quick(*args))  # type: ignore[arg-type]
        return looked[-1]

    def run() -> list[object]:
        often = TrackDetector("track", 0, DetectionSettings(warm_s=7200, false_alarms=5))
        return [one for sums in track.panes for one in often.feed(sums)]

    monkeypatch.setattr(stretches, "nothing_stands_out", count)
    there = run()
    monkeypatch.setattr(stretches, "nothing_stands_out", lambda *_: False)
    assert run() == there != []
    assert sum(looked) > len(looked) / 2
