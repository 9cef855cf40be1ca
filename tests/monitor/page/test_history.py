"""24 hours of each track, a minute a slot."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from monitor.page.data import Band, Expected, Minute, NotFoundError
from monitor.page.history import MINUTES, History
from schemas.window import Window

START = datetime(2026, 11, 28, tzinfo=UTC)
DAY = timedelta(hours=24)


def minute(number: int, posts: int, *, share: float | None = 0.5, track: str = "a") -> Minute:
    at = START + timedelta(minutes=number)
    return Minute(
        window=Window(
            version=1,
            track=track,
            start=at,
            end=at + timedelta(minutes=1),
            posts=posts,
            negative_share=UNSET if share is None else share,
            emotions={"joy": 0.25} if share is not None else {},
        ),
        expected=Expected(negative_share=Band(expected=0.3, low=0.2, high=0.4)),
    )


@settings(deadline=None)  # a jump of a day empties every slot; machines are busy
@given(st.lists(st.tuples(st.integers(0, 3 * MINUTES), st.integers(0, 50)), min_size=1))
def test_it_answers_like_a_dictionary_of_the_last_24_hours(came: list[tuple[int, int]]) -> None:
    history, kept, newest = History(), dict[int, int](), 0
    for number, posts in came:
        history.add(minute(number, posts))
        newest = max(newest, number)
        if number > newest - MINUTES:
            kept[number] = posts
    columns = history.columns("a", START, START + 4 * DAY)
    first = (columns.start - int(START.timestamp())) // 60
    assert first + len(columns.posts) == newest + 1
    found = {first + i: posts for i, posts in enumerate(columns.posts) if posts}
    assert found == {n: p for n, p in kept.items() if p and n > newest - MINUTES}


def test_a_minute_that_is_written_again_replaces_the_first() -> None:
    history = History()
    history.add(minute(5, 7))
    history.add(minute(5, 9))
    assert history.columns("a", START, START + DAY).posts == (9,)


def test_what_is_not_known_is_none_and_what_was_not_found_is_zero() -> None:
    history = History()
    history.add(minute(0, 3))
    history.add(minute(2, 0, share=None))
    columns = history.columns("a", START, START + DAY)
    assert columns.posts == (3, 0, 0)
    assert columns.negative_share == (0.5, None, None)
    assert columns.emotions["joy"] == (0.25, None, None)
    assert columns.emotions["anger"] == (0.0, None, None)
    assert columns.authors == (None, None, None)
    assert columns.bands["negative_share"] == ((0.3, None, 0.3), (0.2, None, 0.2), (0.4, None, 0.4))
    assert columns.bands["valence"] == ((None, None, None),) * 3


def test_a_range_holds_its_start_and_not_its_end() -> None:
    history = History()
    for number in range(10):
        history.add(minute(number, number))
    columns = history.columns("a", START + timedelta(minutes=3), START + timedelta(minutes=6))
    assert columns.start == int(START.timestamp()) + 180
    assert columns.posts == (3, 4, 5)
    assert history.columns("a", START + DAY, START + 2 * DAY).posts == ()
    assert history.columns("a", START - DAY, START).posts == ()


def test_a_track_that_is_gone_is_forgotten() -> None:
    history = History()
    history.add(minute(0, 1))
    history.forget("a")
    with pytest.raises(NotFoundError):
        history.columns("a", START, START + DAY)
