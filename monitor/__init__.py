"""The watch: event-time windows and negative-spike alerts on the topic of affect events.

What runs on Kafka and what judges are apart. `Watch` judges, and is pure:

    watch = Watch(TrackMatcher(by="topics"), DetectionSettings(false_alarms=0.5))
    watch.watermark.assign(partition)            # each partition that is read
    watch.feed(decode(value), partition, offset, broker_time_s)   # -> Fate
    watch.watermark.idle(partition)              # its position is its end offset
    windows, alerts = watch.advance()            # schemas.Window, schemas.Alert, in order
    watch.safe_offsets()                         # to commit, once the windows are acknowledged

After a restart: `Watch.restore(snapshots, windows, closed_until=, read_until=)` with the newest
`Watch.snapshots()` per track (bytes; store them hourly) and the windows since; `remember` gives
back the last hour's posts, if it is fed the events before the committed offsets. Transitions have
deterministic ids, so one that is raised again is the same record. `watch.raising = False` learns
without raising: for history. `TrackDetector` is one track's detector by itself (`feed(PaneSums)`,
`advance(until_pane)`, `snapshot`, `restore`); a Window carries its `panes`, which it is fed.

Folders: `tracks` (what is followed), `windows` (panes, watermark, minutes), `detection` (baseline,
evidence, alerts), `live` (all of it on Kafka), `backtest` (a file instead of a topic), `tables`
(topics as Parquet), `page` (the live page), `notify`; `settings`, `telemetry`.
"""

from monitor.detection import DetectionSettings, SnapshotError, TrackDetector
from monitor.events import Reading, decode, reading_of
from monitor.tracks import TrackMatcher, TrackRule
from monitor.watch import Closed, Watch
from monitor.windows import Fate, Watermark

__all__ = [
    "Closed",
    "DetectionSettings",
    "Fate",
    "Reading",
    "SnapshotError",
    "TrackDetector",
    "TrackMatcher",
    "TrackRule",
    "Watch",
    "Watermark",
    "decode",
    "reading_of",
]
