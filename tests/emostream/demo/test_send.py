"""History: as fast as it is read, and on a slow machine fewer of its posts."""

from datetime import timedelta

from emostream.demo.send import UnderWay, thinned
from emostream.demo.story import tell
from schemas import Post
from tests.emostream.demo.made_up import NOON, tweets


def test_thinning_keeps_the_span_and_the_order() -> None:
    history = tell(tweets(4200), 2400, seed=1, now=NOON).of("history")
    few = thinned(history, 100)
    assert len(few) == 100
    assert few[0] is history[0]
    times = [one.post.created_at for one in few if one.post.created_at is not None]
    assert times == sorted(times)
    end = history[-1].post.created_at
    assert end is not None
    assert (end - times[-1]).total_seconds() < 300
    assert thinned(history, 5000) == history
    assert thinned(history, 0) == []


def test_of_the_hours_before_no_more_is_under_way_than_the_monitor_waits_for() -> None:
    """However slow the consumer is: the oldest that isn't out holds the rest up."""
    history = tell(tweets(4200), 2400, seed=1, now=NOON).of("history")
    out: set[str] = set()
    under_way = UnderWay(out.__contains__, timedelta(minutes=2))
    waiting: list[Post] = []
    for one in history:
        while not under_way.takes(one):
            out |= {waiting[0].id, waiting[-1].id}  # in any order
            waiting = waiting[1:-1]
        under_way.add(one)
        waiting.append(one.post)
        times = [post.created_at for post in waiting if post.created_at is not None]
        assert times[-1] - times[0] <= timedelta(minutes=2)
    assert len(waiting) > 10  # and no fewer than needs be
