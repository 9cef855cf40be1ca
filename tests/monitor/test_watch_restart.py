"""After a restart the watch goes on, also before every partition has delivered something."""

import msgspec

from monitor.detection import DetectionSettings
from monitor.events import Reading
from monitor.tracks import TrackMatcher
from monitor.watch import Watch
from monitor.windows.panes import Fate
from tests.monitor.live.made import event

_decode = msgspec.json.Decoder(Reading).decode


def test_what_is_late_after_a_restart_is_counted_before_the_watermark_has_moved() -> None:
    settings = DetectionSettings()
    watch = Watch(TrackMatcher(by="topics"), settings)
    watch.watermark.assign(0)
    for number in range(600):
        one = event(number)
        arrived = one.created_at.timestamp()
        watch.feed(_decode(msgspec.json.encode(one)), 0, number, arrived)
    windows, *_ = watch.advance()
    assert windows
    again = Watch(TrackMatcher(by="topics"), settings)
    again.restore(
        watch.snapshots().values(),
        windows,
        closed_until=int(windows[-1].end.timestamp()),
        read_until={0: 500},
    )
    for partition in (0, 1):  # the second one has nothing yet: event time can't move
        again.watermark.assign(partition)
    one = event(10)
    arrived = one.created_at.timestamp()
    late = again.feed(_decode(msgspec.json.encode(one)), 0, 601, arrived)
    assert late is Fate.LATE
    assert again.fates[Fate.LATE] == 1
