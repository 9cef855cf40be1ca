"""What is usual, learnt minute by minute."""

import pytest

from monitor.detection.baseline import STEP_S, Baseline


def learnt(minutes: int) -> Baseline:
    baseline = Baseline(at=0)
    for _ in range(minutes):
        baseline.step()
        baseline.observe(20, 6.0, 6.0)
    return baseline


def test_a_level_that_is_put_elsewhere_is_there_at_once_and_doubted() -> None:
    """Else what it really is now would take as long to learn as the level before took."""
    baseline = learnt(minutes=600)
    assert baseline.at == 600 * STEP_S
    level, sure = baseline.state[0], baseline.deviation()
    baseline.move(0.2)
    assert baseline.state[0] == pytest.approx(level + 0.2)
    assert baseline.slow == baseline.state[0]
    assert baseline.deviation() == pytest.approx((sure**2 + 0.1**2) ** 0.5)
    assert baseline.deviation() > 2 * sure
