"""Only as much is shed as it takes to hold the backlog's age, by the posts' ids, and no longer."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.analysis.shedding import Shedding

LOOK_S = 0.25


class Plant:
    """A queue in Kafka, so many places, a first model of so many posts a second, an instant second.

    Ages are those of fluid: fractions of posts are kept for the next look.
    """

    def __init__(self, shedding: Shedding, *, capacity: float, places: int) -> None:
        self.shedding = shedding
        self.capacity, self.places = capacity, places
        self.now = 0.0
        self.queue: deque[float] = deque()
        self.under_way: deque[float] = deque()
        self.number = 0
        self.arriving = self.reading = self.newest = 0.0
        self.ages: list[float] = []
        self.shares: list[float] = []

    def run(self, seconds: float, load: float) -> None:
        for _ in range(int(seconds / LOOK_S)):
            self.step(load)

    def step(self, load: float) -> None:
        self.now += LOOK_S
        self.arriving += load * LOOK_S
        while self.arriving >= 1:
            self.arriving -= 1
            self.queue.append(self.now)
        self.reading += self.capacity * LOOK_S
        settled = 0
        while self.reading >= 1:
            self.reading -= 1
            if self.under_way:
                self.ages.append(self.now - self.under_way.popleft())
                settled += 1
            self.fill()
        self.fill()
        self.shedding.observe(self.newest, [self.now - at for at in self.under_way], settled)
        self.shares.append(self.shedding.share)

    def fill(self) -> None:
        while self.queue and len(self.under_way) < self.places:
            at = self.queue.popleft()
            self.number += 1
            self.newest = self.now - at
            if self.shedding.sheds(f"post {self.number}"):
                self.ages.append(self.now - at)
            else:
                self.under_way.append(at)


@pytest.mark.parametrize("places", [16, 512])
@pytest.mark.parametrize("bound", [10.0, 60.0])
@pytest.mark.parametrize("times", [1.25, 2.0, 4.0])
def test_the_age_is_held_near_the_bound_whatever_the_load(
    places: int, bound: float, times: float
) -> None:
    """With few places posts wait in Kafka, with many in the first model's queue."""
    plant = Plant(Shedding(bound, LOOK_S), capacity=20.0, places=places)
    plant.run(60.0, 10.0)
    assert set(plant.shares) == {0.0}
    plant.run(20 * bound, 20.0 * times)
    later = plant.shares[-int(8 * bound / LOOK_S) :]
    mean = sum(later) / len(later)
    assert mean == pytest.approx(1 - 1 / times, abs=0.06)
    assert max(plant.ages[-2_000:]) < 1.4 * bound
    assert max(plant.ages) < 2.5 * bound  # until a post as old as half of it is seen
    plant.run(10 * bound, 10.0)
    assert set(plant.shares[-100:]) == {0.0}


def test_a_burst_that_is_soon_over_sheds_nothing() -> None:
    plant = Plant(Shedding(10.0, LOOK_S), capacity=20.0, places=512)
    plant.run(60.0, 2.0)
    plant.run(0.5, 150.0)
    plant.run(20.0, 2.0)
    assert set(plant.shares) == {0.0}


def test_a_few_stuck_posts_are_no_backlog() -> None:
    shedding = Shedding(10.0, LOOK_S)
    for _ in range(100):
        shedding.observe(0.1, [500.0, 400.0, *(0.1 * n for n in range(20))], 5)
    assert shedding.share == 0.0


def test_a_first_that_answers_nothing_sheds_everything() -> None:
    shedding = Shedding(10.0, LOOK_S)
    for _ in range(50):
        shedding.observe(0.1, [12.0] * 20, 0)
    assert shedding.share == 1.0
    assert shedding.sheds("any")


@given(post_id=st.text(), one=st.floats(0, 1), other=st.floats(0, 1))
def test_a_post_that_is_shed_at_a_share_is_shed_at_every_larger_one(
    post_id: str, one: float, other: float
) -> None:
    shedding = Shedding(10.0, LOOK_S)
    low, high = sorted((one, other))
    shedding.share = low
    if shedding.sheds(post_id):
        shedding.share = high
        assert shedding.sheds(post_id)


def test_the_share_is_the_share_of_ids() -> None:
    shedding = Shedding(10.0, LOOK_S)
    shedding.share = 0.3
    shed = sum(shedding.sheds(f"post-{n}") for n in range(10_000))
    assert shed == pytest.approx(3_000, abs=150)
