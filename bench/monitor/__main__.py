"""`python -m bench.monitor`: the detector on simulated worlds, beside a CUSUM told the truth.

Prints a table and, with `--plot FILE.svg`, draws it. A world is twelve tracks of 0.5 to 16 posts a
minute over ten days: 13.7 track-weeks, 96 storms; it takes half a minute of one core.
"""

import argparse
import sys
from pathlib import Path

import msgspec

from bench.monitor.judge import Tally, alarms, line, tally, told_alarms
from bench.monitor.world import KINDS, RATES, Kind, simulate
from monitor.detection import DetectionSettings

TOLD = (9.0, 11.0, 13.0, 15.0)


def run(
    kind: Kind, seeds: range, knobs: list[float]
) -> tuple[dict[float, Tally], dict[float, Tally]]:
    """Return the tallies of the detector by knob, and of the told CUSUM by threshold."""
    ours = {knob: Tally() for knob in knobs}
    told = {threshold: Tally() for threshold in TOLD}
    for seed in seeds:
        for rate in RATES:
            track = simulate(kind, rate, seed)
            for knob, into in ours.items():
                tally(track, alarms(track, DetectionSettings(false_alarms=knob)), into)
            for threshold, into in told.items():
                tally(track, told_alarms(track, threshold, jump=0.13), into)
    return ours, told


class Saved(msgspec.Struct):
    """The tallies of one kind of world, as they are kept between runs."""

    kind: str
    ours: dict[float, Tally]
    """By knob."""
    told: dict[float, Tally]
    """Of the told CUSUM, by threshold."""

    def add(self, other: "Saved") -> None:
        """Count another run's worlds, too."""
        for mine, theirs in ((self.ours, other.ours), (self.told, other.told)):
            for at, result in theirs.items():
                mine.setdefault(at, Tally()).add(result)


def main() -> None:
    """Simulate, judge, print, draw."""
    parser = argparse.ArgumentParser(prog="python -m bench.monitor", description=__doc__)
    parser.add_argument("--worlds", type=int, default=1, help="of each kind; 0: only --add")
    parser.add_argument("--first", type=int, default=0, help="seed of the first world")
    parser.add_argument("--kinds", type=int, nargs="*", default=list(range(len(KINDS))))
    parser.add_argument("--false-alarms", type=float, nargs="+", default=[0.5])
    parser.add_argument("--save", type=Path, help="write the counts into this JSON file")
    parser.add_argument("--add", type=Path, nargs="*", default=[], help="count these files, too")
    parser.add_argument("--plot", type=Path, help="draw into this SVG")
    chosen = parser.parse_args()
    results: dict[str, Saved] = {}
    for file in chosen.add:
        for saved in msgspec.json.decode(file.read_bytes(), type=list[Saved]):
            results.setdefault(saved.kind, Saved(saved.kind, {}, {})).add(saved)
    seeds = range(chosen.first, chosen.first + chosen.worlds)
    for kind in [KINDS[index] for index in chosen.kinds if seeds]:
        ours, told = run(kind, seeds, chosen.false_alarms)
        results.setdefault(kind.name, Saved(kind.name, {}, {})).add(Saved(kind.name, ours, told))
    if chosen.save is not None:
        chosen.save.write_bytes(msgspec.json.encode(list(results.values())))
    sys.stdout.write(f"{'':32s} false/week [95 %]   big  delay  all  in surges, gaps, new models\n")
    for saved in results.values():
        for knob, result in saved.ours.items():
            sys.stdout.write(line(f"{saved.kind}, knob {knob:g}", result))
        for threshold, result in saved.told.items():
            sys.stdout.write(line(f"  told, threshold {threshold:g}", result))
    if chosen.plot is not None:
        from bench.monitor.plot import draw  # noqa: PLC0415 - matplotlib only where it is drawn

        draw([(saved.kind, saved.ours, saved.told) for saved in results.values()], chosen.plot)


if __name__ == "__main__":
    main()
