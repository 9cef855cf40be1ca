"""`python -m bench.monitor`: the detector on simulated worlds, beside a CUSUM told the truth.

Prints a table and, with `--plot FILE.svg`, draws it. A world is twelve tracks of 0.5 to 16 posts a
minute over ten days: 13.7 track-weeks, 96 storms; it takes half a minute of one core.
"""

import argparse
import sys
from pathlib import Path

from bench.monitor.judge import Tally, alarms, line, tally, told_alarms
from bench.monitor.world import KINDS, RATES, Kind, simulate
from monitor.detection import DetectionSettings

TOLD = (7.0, 9.0, 11.0, 13.0)


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
                tally(track, told_alarms(track, threshold), into)
    return ours, told


def main() -> None:
    """Simulate, judge, print, draw."""
    parser = argparse.ArgumentParser(prog="python -m bench.monitor", description=__doc__)
    parser.add_argument("--worlds", type=int, default=1, help="of each kind")
    parser.add_argument("--first", type=int, default=0, help="seed of the first world")
    parser.add_argument("--kinds", type=int, nargs="*", default=list(range(len(KINDS))))
    parser.add_argument("--false-alarms", type=float, nargs="+", default=[0.5])
    parser.add_argument("--plot", type=Path, help="draw into this SVG")
    chosen = parser.parse_args()
    sys.stdout.write(f"{'':32s} false/week [95 %]   big  delay  all  in surges, gaps\n")
    results = []
    for kind in (KINDS[index] for index in chosen.kinds):
        ours, told = run(
            kind, range(chosen.first, chosen.first + chosen.worlds), chosen.false_alarms
        )
        results.append((kind.name, ours, told))
        for knob, result in ours.items():
            sys.stdout.write(line(f"{kind.name}, knob {knob:g}", result))
        for threshold, result in told.items():
            sys.stdout.write(line(f"  told, threshold {threshold:g}", result))
        sys.stdout.flush()
    if chosen.plot is not None:
        from bench.monitor.plot import draw  # noqa: PLC0415 - matplotlib only where it is drawn

        draw(results, chosen.plot)


if __name__ == "__main__":
    main()
