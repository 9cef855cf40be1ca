"""What all events lack is logged once, soon after the start."""

import pytest
from structlog.testing import capture_logs

from monitor.events import reading_of
from monitor.live.lacking import ENOUGH, Lacking
from tests.monitor.live.made import event


def logged(events: int, *, texts: bool = True, **fields: object) -> list[str]:
    lacking = Lacking(texts=texts)
    with capture_logs() as logs:
        for number in range(events):
            lacking.see(reading_of(event(number, **fields)))  # type: ignore[arg-type]
    return [one["event"] for one in logs]


def test_events_without_authors_are_logged_once() -> None:
    assert logged(ENOUGH - 1, author=None) == []
    assert logged(3 * ENOUGH, author=None) == ["no_authors"]


def test_texts_are_missed_only_where_the_configuration_promises_them() -> None:
    assert logged(ENOUGH, text=None) == ["texts_missing"]
    assert logged(ENOUGH, texts=False, text=None) == []


def test_one_event_that_has_them_is_enough() -> None:
    lacking = Lacking(texts=True)
    with capture_logs() as logs:
        for number in range(2 * ENOUGH):
            bare = {} if number == 10 else {"author": None, "text": None}
            lacking.see(reading_of(event(number, **bare)))  # type: ignore[arg-type]
    assert logs == []


@pytest.mark.parametrize("word", ["author-", "made-up post"])
def test_nothing_of_a_post_is_logged(word: str) -> None:
    lacking = Lacking(texts=True)
    with capture_logs() as logs:
        for number in range(ENOUGH):
            lacking.see(reading_of(event(number, author=None)))
    assert logs
    assert word not in str(logs)
