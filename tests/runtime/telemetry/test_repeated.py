"""A library that repeats itself doesn't fill the log, and nothing is hidden."""

import logging

from runtime.telemetry.repeated import SHOWN, WINDOW_S, Repeated


def record(message: str, *args: object, name: str = "aiokafka") -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "file", 1, message, args, None)


def test_a_few_of_a_message_are_shown_in_a_minute_whatever_its_arguments() -> None:
    repeated = Repeated(lambda: 100.0)
    shown = [repeated.filter(record("no node %s", number)) for number in range(1_000)]
    assert shown.count(True) == SHOWN
    assert all(shown[:SHOWN])


def test_the_next_minutes_first_says_how_many_were_left_out() -> None:
    now = [100.0]
    repeated = Repeated(lambda: now[0])
    for number in range(SHOWN + 20):
        repeated.filter(record("no node %s", number))
    now[0] += WINDOW_S
    again = record("no node %s", 7)
    assert repeated.filter(again)
    assert again.getMessage() == "no node 7 [20 more like it since]"
    once_more = record("no node %s", 8)
    assert repeated.filter(once_more)
    assert once_more.getMessage() == "no node 8"


def test_other_messages_and_other_loggers_are_their_own() -> None:
    repeated = Repeated(lambda: 100.0)
    for _ in range(SHOWN):
        repeated.filter(record("a"))
    assert not repeated.filter(record("a"))
    assert repeated.filter(record("b"))
    assert repeated.filter(record("a", name="aiohttp"))


def test_memory_is_bounded_whatever_libraries_say() -> None:
    repeated = Repeated(lambda: 100.0)
    for number in range(5_000):
        assert repeated.filter(record(f"never said before {number}"))
    assert len(repeated._seen) <= 500
