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


def test_failures_in_a_row_are_too_many() -> None:
    breaker = Breaker(lambda: 0.0)
    assert [breaker.on_failure(post) for post in "abcde"] == [False] * 4 + [True]
    assert not breaker.one_post
    breaker.open(0.0)
    assert breaker.state is BreakerState.OPEN
    assert not breaker.on_failure("f"), "sent before it opened"


def test_failures_in_a_row_of_one_post_are_told_apart() -> None:
    breaker = Breaker(lambda: 0.0)
    one_post: list[bool] = []
    for post in ("poison",) * CONSECUTIVE + ("another",):
        assert breaker.on_failure(post) == (len(one_post) >= CONSECUTIVE - 1)
        one_post.append(breaker.one_post)
    assert one_post == [True] * CONSECUTIVE + [False]
    breaker.on_answer()
    breaker.on_failure("poison")
    assert breaker.one_post


def test_an_answer_among_them_keeps_it_closed() -> None:
    breaker = Breaker(lambda: 0.0)
    for _ in range(100):
        breaker.on_answer()
        breaker.on_answer()
        assert not breaker.on_failure(None)


def test_a_server_that_fails_most_of_the_time_fails_too_much() -> None:
    breaker = Breaker(lambda: 0.0)
    too_many = 0
    for _ in range(40):
        too_many += sum(breaker.on_failure(None) for _ in range(CONSECUTIVE - 1))
        breaker.on_answer()
    assert too_many > 0


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
