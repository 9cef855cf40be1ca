"""The adaptive limit: bounds, growth, and once a round trip."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from emollm.pool.limiter import (
    AFTER_FAILURE,
    AFTER_NO_MEMORY,
    AFTER_OVERLOAD,
    NO_MEMORY_S,
    Limiter,
)


def test_it_starts_at_half_of_what_the_server_takes() -> None:
    assert Limiter(128).limit == 64
    assert Limiter(1).limit == 1
    assert Limiter(128, 16).limit == 16
    assert Limiter(4, 16).limit == 4


def test_it_grows_by_one_a_round_trip_while_it_is_the_bottleneck() -> None:
    limiter = Limiter(100, 10)
    for _ in range(11):
        limiter.on_answer(10, 0.0)
    assert limiter.limit == 11


def test_it_does_not_grow_on_answers_that_had_room() -> None:
    limiter = Limiter(100, 10)
    for _ in range(1000):
        assert not limiter.on_answer(9, 0.0)
    assert limiter.limit == 10


def test_a_burst_of_refusals_lowers_it_once() -> None:
    limiter = Limiter(100, 50)
    lowered = [limiter.on_overload(1.0 + i / 1000, 2.0 + i / 1000) for i in range(50)]
    assert lowered.index(True) < 20
    assert sum(lowered) == 1
    assert limiter.limit == int(50 * AFTER_OVERLOAD)
    assert limiter.on_failure(2.5, 3.0), "what follows counts at once"
    assert limiter.limit == int(50 * AFTER_OVERLOAD * AFTER_FAILURE)


def test_one_failure_in_ten_does_not_lower_it() -> None:
    # With the limit cut for each, a server that failed one in ten was left 9 % of its throughput.
    limiter, rng = Limiter(128), Random(7)
    now = 0.0
    for _ in range(100_000):
        now += 0.00125
        sent_at = now - 0.06
        if rng.random() >= 0.1:
            limiter.on_answer(limiter.limit, now)
        elif rng.random() < 0.5:
            assert not limiter.on_overload(sent_at, now)
        else:
            assert not limiter.on_failure(sent_at, now)
    assert limiter.limit == 128


def test_a_limit_that_took_too_much_memory_is_not_tried_again_for_minutes() -> None:
    limiter = Limiter(128)
    assert limiter.on_no_memory(1.0, 2.0)
    assert not limiter.on_no_memory(1.5, 2.5), "of the same batch"
    below = int(64 * AFTER_NO_MEMORY)
    assert limiter.limit == below
    for _ in range(10_000):
        limiter.on_answer(limiter.limit, 2.0 + NO_MEMORY_S - 1.0)
    assert limiter.limit == below
    for _ in range(10_000):
        limiter.on_answer(limiter.limit, 2.0 + NO_MEMORY_S)
    assert limiter.limit == 128


def test_a_lower_ceiling_holds_at_once() -> None:
    limiter = Limiter(100, 50)
    limiter.cap(8)
    assert limiter.limit == 8
    limiter.cap(0)
    assert limiter.limit == 1


@given(
    ceiling=st.integers(1, 300),
    events=st.lists(
        st.tuples(st.sampled_from(["answer", "overload", "failure", "memory"]), st.integers(1, 300))
    ),
)
def test_it_stays_between_one_and_the_ceiling(ceiling: int, events: list[tuple[str, int]]) -> None:
    limiter = Limiter(ceiling)
    for now, (event, number) in enumerate(events):
        if event == "answer":
            limiter.on_answer(number, now)
        elif event == "overload":
            limiter.on_overload(now - number / 100, now)
        elif event == "memory":
            limiter.on_no_memory(now - number / 100, now)
        else:
            limiter.on_failure(now - number / 100, now)
        assert 1 <= limiter.limit <= ceiling
