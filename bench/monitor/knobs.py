"""`python -m bench.monitor.knobs --kind 9 --seed 401 --save FILE`: a world with its traps, by knob.

The world is `bench.monitor.stream`'s file of events, with authors, texts, duplicates, late events
and bursts. The backtest reads it once; the detector then judges the panes that it closed, caps
included, at the other knobs. `python -m bench.monitor --worlds 0 --add FILE… --plot SVG` adds up
what several runs have saved.
"""

import argparse
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench.monitor import stream
from bench.monitor.__main__ import TOLD, Saved
from bench.monitor.judge import Tally, alarms, line, tally, told_alarms
from bench.monitor.world import KINDS, RATES, Track, simulate
from monitor.backtest import as_row, backtest
from monitor.detection import DetectionSettings
from monitor.tracks import TrackMatcher
from monitor.windows.panes import PANE_S
from schemas.window import PaneSums


def main() -> None:
    """Write a world, judge it at each knob beside the told CUSUM, save the counts."""
    parser = argparse.ArgumentParser(prog="python -m bench.monitor.knobs", description=__doc__)
    parser.add_argument("--kind", type=int, default=9, help="of bench.monitor.world.KINDS")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--others", type=float, nargs="*", default=[0.1, 2.0], help="knobs")
    parser.add_argument("--save", type=Path, help="write the counts into this JSON file")
    chosen = parser.parse_args()
    kind = KINDS[chosen.kind]
    panes: dict[str, list[PaneSums]] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "events.jsonl"
        truths, events = stream.write_events(file, kind, chosen.seed)
        with file.open("rb") as lines:
            alerts = backtest(
                lines,
                TrackMatcher(by="topics"),
                DetectionSettings(false_alarms=0.5),
                on_pane=lambda track, sums: panes.setdefault(track, []).append(sums),
            )
            rows = [as_row(alert) for alert in alerts]
    found, in_bursts = stream.judge(rows, truths, 10)
    ours = {0.5: found}
    for knob in chosen.others:
        settings = DetectionSettings(false_alarms=knob)
        fired = {
            name: alarms(
                Track(0.0, closed, [], (), (), ()), settings, first_pane=closed[0].at // PANE_S
            )
            for name, closed in panes.items()
        }
        others: list[dict[str, object]] = [
            {"track": name, "transition": "firing", "kind": "spike", "at": when, "fired_at": when}
            for name, times in fired.items()
            for when in (datetime.fromtimestamp(at, UTC).isoformat() for at in times)
        ]
        ours[knob], _ = stream.judge(others, truths, 10)
    told = {threshold: Tally() for threshold in TOLD}
    for rate in RATES:
        track = simulate(kind, rate, chosen.seed)
        for threshold, into in told.items():
            tally(track, told_alarms(track, threshold, jump=0.13), into)
    for knob, result in sorted(ours.items()):
        sys.stdout.write(line(f"{kind.name}, seed {chosen.seed}, knob {knob:g}", result))
    for threshold, result in told.items():
        sys.stdout.write(line(f"  told, threshold {threshold:g}", result))
    sys.stdout.write(f"  alarms in bursts: {in_bursts}; {events:,} events\n")
    if chosen.save is not None:
        chosen.save.write_bytes(msgspec.json.encode([Saved(kind.name, ours, told)]))


if __name__ == "__main__":
    main()
