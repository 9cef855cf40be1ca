"""Latency and losses are read off the topics right."""

from bench.soak.ledger import Ledger
from infra.kafka import TopicNames

NAMES = TopicNames(posts="in", events="out", dead_letters="dead")


def key(number: int) -> bytes:
    return f"load-1-{number}".encode()


def event(ledger: Ledger, number: int, at_ms: int, id_: bytes = b"") -> None:
    ledger._take("out", key(number), at_ms, [("ce_id", id_ or key(number))])


def test_latency_is_from_the_post_to_its_first_event_by_the_time_of_the_post() -> None:
    ledger = Ledger(NAMES)
    for number in range(200):
        event(ledger, number, 1_000 + 10 * number + number % 100 + 1)  # read before its post
        ledger._take("in", key(number), 1_000 + 10 * number, [])
    event(ledger, 7, 99_000)  # once more: the first one counts
    first, second = ledger.windows(1_000, until_s=2.5, seconds=1)
    assert (first.at_s, first.posts, first.p50_ms, first.p99_ms, first.worst_ms) == (
        *(0, 100, 50, 99, 100),
    )
    assert second.at_s == 1
    assert (ledger.open, ledger.redelivered, ledger.other_ids) == (0, 1, 0)


def test_a_post_with_neither_event_nor_dead_letter_is_open() -> None:
    ledger = Ledger(NAMES)
    for number in range(3):
        ledger._take("in", key(number), number, [])
    event(ledger, 0, 5)
    ledger._take("dead", key(1), 5, [])
    assert ledger.open == 1


def test_a_second_event_with_another_id_is_told() -> None:
    ledger = Ledger(NAMES)
    event(ledger, 0, 5, b"one")
    event(ledger, 0, 6, b"one")
    event(ledger, 0, 7, b"other")
    assert (ledger.redelivered, ledger.other_ids) == (2, 1)
