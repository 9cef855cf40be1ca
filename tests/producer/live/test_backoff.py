"""Pauses between tries grow, end somewhere, and differ from client to client."""

import random

from producer.live.backoff import Backoff
from tests.runtime.fake_clock import FakeClock


def pauses(seed: int, count: int) -> list[float]:
    backoff = Backoff(FakeClock(), random.Random(seed), first_s=0.5, most_s=30.0)
    return [backoff.next_s() for _ in range(count)]


def test_the_bound_doubles_up_to_its_most_and_each_client_draws_below_it() -> None:
    """A thousand clients that one host has dropped don't come back at one moment."""
    bounds = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    clients = [pauses(seed, len(bounds)) for seed in range(1_000)]
    for bound, drawn in zip(bounds, zip(*clients, strict=True), strict=True):
        assert 0.0 <= min(drawn) < 0.05 * bound
        assert 0.95 * bound < max(drawn) <= bound
        assert 0.45 * bound < sum(drawn) / len(drawn) < 0.55 * bound


def test_what_works_again_begins_with_short_pauses_next_time() -> None:
    backoff = Backoff(FakeClock(), random.Random(1), first_s=0.5, most_s=30.0)
    for _ in range(20):
        backoff.next_s()
    assert backoff.failures == 20
    backoff.over()
    assert backoff.next_s() <= 0.5
    assert backoff.failures == 1
