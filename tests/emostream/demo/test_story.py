"""The story: history first, a storm in the live part, all of it in the past of its event time."""

from datetime import timedelta

import pytest

from emostream.demo.story import LIVE_S, SPEED, STORM_TRACK, tell
from tests.emostream.demo.made_up import NOON, tweets


@pytest.mark.parametrize("count", [1, 7, 20, 150, 2400, 4200])
def test_it_sends_exactly_as_many_posts_as_were_asked_for_each_once(count: int) -> None:
    story = tell(tweets(4200), count, seed=1, now=NOON)
    assert len({one.post.id for one in story.planned}) == count


def test_history_comes_first_and_event_time_never_goes_back_or_past_now() -> None:
    story = tell(tweets(4200), 2400, seed=1, now=NOON)
    times = [one.post.created_at for one in story.planned if one.post.created_at is not None]
    assert times == sorted(times)
    assert times[-1] <= NOON
    roles = [one.role for one in story.planned]
    assert set(roles[: roles.count("history")]) == {"history"}


def test_the_storm_is_one_topics_by_many_people_with_different_words() -> None:
    story = tell(tweets(4200), 2400, seed=1, now=NOON)
    storm = [one.post for one in story.of("storm")]
    assert story.storm_at == storm[0].created_at
    assert {post.topics for post in storm} == {(STORM_TRACK,)}
    assert len({post.author for post in storm}) > 200
    assert len({post.text for post in storm}) == len(storm)


def test_a_second_of_the_live_part_is_a_minute_of_event_time() -> None:
    story = tell(tweets(4200), 2400, seed=1, now=NOON)
    start = NOON - timedelta(seconds=LIVE_S * SPEED)
    for one in story.of("calm", "storm"):
        assert one.post.created_at == start + timedelta(seconds=one.at_s * SPEED)


def test_the_same_seed_tells_the_same_story() -> None:
    first, again = (tell(tweets(4200), 300, seed=3, now=NOON) for _ in range(2))
    assert first == again
    assert first != tell(tweets(4200), 300, seed=4, now=NOON)


def test_too_few_posts_have_no_storm() -> None:
    assert tell(tweets(10), 4, seed=1, now=NOON).storm_at is None
