"""When a server is given a rest, and for how long."""

import pytest

from emollm.pool.breaker import (
    CALM_S,
    CONSECUTIVE,
    FIRST_DELAY_S,
    MAX_DELAY_S,
    Breaker,
    BreakerState,
)


def test_failures_in_a_row_open_it() -> None:
    breaker = Breaker(lambda: 0.0)
    assert [breaker.on_failure(0.0) for _ in range(CONSECUTIVE)] == [False] * 4 + [True]
    assert breaker.state is BreakerState.OPEN
    assert not breaker.on_failure(0.0)


def test_an_answer_among_them_keeps_it_closed() -> None:
    breaker = Breaker(lambda: 0.0)
    for _ in range(100):
        breaker.on_answer()
        breaker.on_answer()
        assert not breaker.on_failure(0.0)


def test_a_server_that_fails_most_of_the_time_opens_it_too() -> None:
    breaker = Breaker(lambda: 0.0)
    opened = 0
    for _ in range(40):
        opened += sum(breaker.on_failure(0.0) for _ in range(CONSECUTIVE - 1))
        breaker.on_answer()
    assert opened == 1


def test_only_closing_ends_it() -> None:
    breaker = Breaker(lambda: 0.0)
    breaker.open(0.0)
    breaker.on_answer()
    assert not breaker.closed
    breaker.probe()
    assert breaker.state is BreakerState.HALF_OPEN
    assert not breaker.closed
    breaker.close(1.0)
    assert breaker.closed


@pytest.mark.parametrize(("draw", "share"), [(0.0, 0.5), (0.999999, 1.0)])
def test_probes_come_ever_later_up_to_a_cap(draw: float, share: float) -> None:
    breaker = Breaker(lambda: draw)
    delays = []
    for _ in range(30):
        breaker.open(0.0)
        delays.append(breaker.delay())
    expected = [min(MAX_DELAY_S, FIRST_DELAY_S * 2**n) * share for n in range(30)]
    assert delays == pytest.approx(expected, rel=1e-5)


def test_a_server_that_flaps_waits_on_and_one_that_was_calm_does_not() -> None:
    breaker = Breaker(lambda: 0.0)
    breaker.open(0.0)
    breaker.close(1.0)
    breaker.open(2.0)
    assert breaker.delay() == FIRST_DELAY_S * 2 * 0.5
    breaker.close(3.0)
    breaker.open(3.0 + CALM_S + 1)
    assert breaker.delay() == FIRST_DELAY_S * 0.5
