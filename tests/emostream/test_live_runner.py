"""The line of progress of the live sources: how much, how fast, how late, and where from."""

from emostream.live_runner import progress_line
from producer.live.items import Found, Passed
from producer.live.meter import Meter
from schemas import Post
from tests.runtime.fake_clock import FakeClock


def test_it_says_how_much_how_fast_how_late_and_from_where() -> None:
    clock = FakeClock()
    meter = Meter(["one", "two"], clock)
    assert progress_line(meter, 0.0) == "0 written · 0.0/s · connecting"
    meter.connected("one", "a.example")
    meter.came("one", Found(post=Post(id="p", text="x"), at=clock.wall() - 7_500))
    for _ in range(3_000):
        meter.wrote("one", "post")
    assert progress_line(meter, 60.0) == "3,000 written · 50.0/s · 2 h behind · a.example"
    meter.came("one", Passed(reason="lang", at=clock.wall() - 3))
    meter.skip("one", "lang")
    meter.disconnected("two", "unreachable")
    line = "3,000 written · 50.0/s · 3 s behind · 1 skipped · 1 reconnects · a.example"
    assert progress_line(meter, 60.0) == line
    meter.connected("two", "b.example")
    assert progress_line(meter, 60.0).endswith(" · 2 hosts")
    meter.disconnected("one", "closed")
    meter.disconnected("two", "closed")
    assert progress_line(meter, 60.0).endswith(" · 3 reconnects · connecting")
