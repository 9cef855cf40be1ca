"""Event time: what holds it back, and how far out of order posts may come."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import TrackMatcher, Watch
from monitor.windows import Fate
from monitor.windows.watermark import Watermark
from tests.monitor.readings import T0, reading

AWAY_S = 3_600
"""How long the consumer was away."""
UNDER_WAY = 128
"""How many posts it has under way when it comes back."""


def watch(**more: float) -> Watch:
    made = Watch(TrackMatcher(by="topics", min_posts=1), **more)  # type: ignore[arg-type]
    for partition in range(3):
        made.watermark.assign(partition)
    return made


def right(_: random.Random) -> float:
    return 0


def catch_up(
    core: Watch,
    *,
    a_second: int = 100,
    seed: int = 1,
    off_s: Callable[[random.Random], float] = right,
) -> float:
    """The posts of an hour, one a second, in any order among those under way; when it ends.

    `off_s` draws by how much the clock is wrong that tells when a record arrived.
    """
    draw = random.Random(seed)
    places = sorted(range(AWAY_S), key=lambda number: number + draw.uniform(0, UNDER_WAY))
    for place, number in enumerate(places):
        arrived = T0 + AWAY_S + place / a_second
        core.feed(reading(number, at=number), number % 3, place, arrived + off_s(draw))
        if place % 50 == 0:
            core.advance()
    return T0 + AWAY_S + AWAY_S / a_second


def test_a_consumer_that_catches_up_with_an_hour_leaves_nothing_out_of_its_windows() -> None:
    core = watch()
    end = catch_up(core)
    assert core.fates[Fate.LATE] == 0
    assert core.fates[Fate.COUNTED] == AWAY_S
    for number in range(3):  # then live again
        core.feed(reading(AWAY_S + number, at=end + 90 - T0), number, AWAY_S + number, end + 91)
    core.advance()
    assert core.watermark.value == end + 60


def test_while_it_catches_up_time_follows_half_a_minute_behind() -> None:
    """By the broker's clock: 100 posts a second are under way for one second."""
    core = watch()
    end = catch_up(core)
    assert core.watermark.value > T0 + 500  # 3,600 are in after 36 s
    core.advance(quiet_s=40)
    assert core.watermark.value > end - AWAY_S / 100 - 40 - UNDER_WAY


def test_what_was_under_way_when_the_consumer_died_is_waited_for() -> None:
    """However long it was away: it did half of the posts, in any order, and lost some of them."""
    core = watch()
    draw = random.Random(1)
    places = sorted(range(AWAY_S), key=lambda number: number + draw.uniform(0, UNDER_WAY))
    lost = places[1_800 - UNDER_WAY : 1_800 : 2]
    done = [number for number in places[:1_800] if number not in set(lost)]
    for place, number in enumerate([*done, *lost, *places[1_800:]]):
        died_s = 600 if place >= len(done) else 0
        arrived = T0 + AWAY_S + place / 100 + died_s
        core.feed(reading(number, at=number), number % 3, place, arrived)
        core.advance()
    assert core.fates[Fate.LATE] == 0


def test_without_the_wait_what_is_under_way_comes_too_late() -> None:
    core = watch(out_of_order_s=0)
    catch_up(core)
    assert core.fates[Fate.LATE] > 500


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 60), st.floats(0, 29)), max_size=40))
def test_on_a_live_stream_the_wait_changes_nothing(posts: list[tuple[float, float]]) -> None:
    waits, doesnt = Watermark(), Watermark(out_of_order_s=0)
    arrived = float(T0)
    for gap, age in posts:
        arrived += gap
        for mark in (waits, doesnt):
            mark.observe(0, arrived - age, arrived)
        assert waits.advance() == doesnt.advance()


@pytest.mark.parametrize("seed", range(20))
def test_slow_posts_among_others_hold_nothing_up(seed: int) -> None:
    """One in ten comes minutes late; it is late, and no reason to wait with the others."""
    draw = random.Random(seed)
    waits, doesnt = Watermark(out_of_order_s=600), Watermark(out_of_order_s=0)
    for second in range(300):
        slow = second and draw.random() < 0.1
        age = draw.uniform(60, 600) if slow else draw.uniform(0, 5)
        for mark in (waits, doesnt):
            mark.observe(0, T0 + second - age, T0 + second)
        assert waits.advance() == doesnt.advance()


def test_after_the_last_old_post_a_quiet_half_minute_is_enough() -> None:
    mark = Watermark()
    mark.observe(0, 1_000.0, 9_000.0)
    mark.idle(0)
    assert mark.advance() == float("-inf")
    assert mark.advance(quiet_s=29) == float("-inf")
    assert mark.advance(quiet_s=31) == 970


def test_a_record_from_a_clock_that_ran_ahead_holds_nothing_up() -> None:
    mark = Watermark()
    mark.observe(0, 1_000.0, 90_000.0)
    for second in range(60):
        mark.observe(0, 1_100.0 + second, 9_000.0 + second)
        mark.advance()
    assert 1_095 < mark.value <= 1_129  # what had come half a minute before the last
    for second in range(60, 120):
        mark.observe(0, 8_999.0 + second, 9_000.0 + second)
    assert mark.advance() == 9_118 - 30


@pytest.mark.parametrize("ahead_s", [20, 60, 3_600])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_members_whose_clocks_differ_leave_nothing_out(ahead_s: float, share: float) -> None:
    core = watch()
    # One on time before: what the first wrong clock says is believed.
    core.feed(reading(-1, at=0), 0, 0, T0 + AWAY_S + ahead_s)
    core.feed(reading(-2, at=0), 0, 0, T0 + AWAY_S)
    catch_up(core, a_second=60, off_s=lambda draw: ahead_s if draw.random() < share else 0)
    assert core.fates[Fate.LATE] == 0
    assert core.watermark.value > T0 + 1_000  # half of the minute has settled


def test_a_clock_that_is_right_again_after_one_ran_ahead_is_believed_after_some_records() -> None:
    mark = Watermark()
    mark.observe(0, 1_000.0, 90_000.0)
    for second in range(50):
        mark.observe(0, 7_000.0 + second, 9_000.0 + second)
    for second in range(200):  # after an hour's silence
        mark.observe(0, 8_000.0 + second, 12_649.0 + second)
        mark.advance()
    assert mark.arrived == 12_848
    assert 8_120 < mark.value < 8_199 - 30


def test_records_that_all_have_one_time_hold_up_a_bounded_number() -> None:
    """However many old posts come: fifty thousand are waited with."""
    mark = Watermark()
    for number in range(120_000):
        mark.observe(0, float(number), 900_000.0)
        if number % 100 == 0:
            mark.advance()
        if number == 40_000:
            assert mark.value < 0
    assert 120_000 - 55_000 < mark.value < 120_000 - 50_000


def test_clocks_at_odds_hold_up_a_bounded_number() -> None:
    """Each time that event time could move, the clock turns back."""
    mark = Watermark()
    for number in range(120_000):
        mark.observe(0, float(number), 900_000.0 + number % 4 * 14)
        if number % 4 == 0:
            mark.advance()
    assert mark.value > 120_000 - 55_000


def test_the_slowest_partition_holds_event_time_until_it_is_read_to_its_end() -> None:
    mark = Watermark(lateness_s=30)
    mark.assign(0)
    mark.assign(1)
    mark.observe(0, 1000.0, 1000.0)
    assert mark.advance() == float("-inf")
    mark.observe(1, 500.0, 500.0)
    assert mark.advance() == 470
    mark.idle(1)
    assert mark.advance() == 970
    mark.observe(1, 600.0, 600.0)
    assert mark.advance() == 970


def test_with_all_partitions_idle_time_goes_on_as_far_as_the_caller_knows() -> None:
    mark = Watermark(lateness_s=30)
    mark.observe(0, 1000.0, 1000.0)
    assert mark.advance(at_least=5000) == 970
    mark.idle(0)
    assert mark.advance(at_least=5000) == 4970
