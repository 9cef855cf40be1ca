"""A slow machine gets fewer posts of history, over the same hours."""

from emostream.demo.send import thinned
from emostream.demo.story import tell
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
