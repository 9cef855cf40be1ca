"""`python -m tests.faults`: break things at random for a while, and show that nothing was lost.

A long run goes in slices, each a run of its own with a seed of its own, on ports and in folders of
its own; `--add` adds up their tables:

    python -m tests.faults --faults 1000 --slices 10 --at-once 2 --seed 1000
    python -m tests.faults --add var/faults/*.json
    python -m tests.faults --delivery exactly-once
"""

import argparse
import asyncio
import logging
import sys
import time
from pathlib import Path
from typing import get_args

import structlog

from runtime.kafka.options import Guarantee
from tests.faults.faults import FAULTS
from tests.faults.mutants import MUTANTS
from tests.faults.plan import Log, draw, read_plan
from tests.faults.report import add, as_json, read_report
from tests.faults.run import Run
from tests.faults.slices import run_slices

_SHORT = 100
"""Faults; what has more is a long run."""
_POSTS = 50_000
"""In 100 faults; 200,000 in 1,000."""
_PACE_S, _LONG_PACE_S = 10.0, 4.8
"""A short run takes about 20 minutes, and 1,000 faults about 85."""
_FOLDER = Path("var/faults")


def posts_of(faults: int) -> int:
    """How many posts a run with so many faults has."""
    return 500 * faults if faults <= _SHORT else max(_POSTS, 200 * faults)


def options() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--faults", type=int, default=100, help="how many")
    parser.add_argument("--posts", type=int, help=f"how many; by default {_POSTS} and more")
    parser.add_argument("--seed", type=int, help="of plan and posts; by default one by the time")
    parser.add_argument("--pace", type=float, help="seconds from fault to fault, about")
    parser.add_argument("--only", nargs="*", help="kinds that contain one of these words")
    parser.add_argument("--slices", type=int, default=1, help="runs to divide the faults among")
    parser.add_argument("--at-once", type=int, default=1, help="slices that run side by side")
    parser.add_argument("--log", type=Path, help="replays the run [var/faults/SEED.jsonl]")
    parser.add_argument("--replay", type=Path, help="do again what this log says")
    parser.add_argument("--json", type=Path, help="where the report goes [var/faults/SEED.json]")
    parser.add_argument("--mutant", choices=("none", *MUTANTS), default="none")
    parser.add_argument(
        "--delivery",
        choices=get_args(Guarantee),
        default="at-least-once",
        help="what the consumers promise; with exactly-once a second output is a broken promise",
    )
    parser.add_argument("--add", type=Path, nargs="+", metavar="JSON", help="add up these reports")
    return parser.parse_args()


def main() -> int:
    """Run; 0 when every promise was kept, else 1."""
    asked = options()
    if asked.add:
        report = add([read_report(path) for path in asked.add])
        sys.stdout.write(report.text())
        return 0 if report.ok else 1
    seed = asked.seed if asked.seed is not None else int(time.time())
    pace_s = asked.pace or (_PACE_S if asked.faults <= _SHORT else _LONG_PACE_S)
    posts = asked.posts or posts_of(asked.faults)
    if asked.slices > 1:
        each = (asked.faults // asked.slices, posts // asked.slices)
        more = ["--pace", str(pace_s), "--mutant", asked.mutant, "--delivery", asked.delivery]
        more += ["--only", *asked.only] if asked.only else []
        seeds = range(seed, seed + asked.slices)
        _FOLDER.mkdir(parents=True, exist_ok=True)
        found = asyncio.run(run_slices(_FOLDER, seeds, *each, more, at_once=asked.at_once))
        sys.stdout.write(found.text())
        return 0 if found.ok else 1
    if asked.replay:
        plan = read_plan(asked.replay)
    else:
        words = asked.only or [""]
        kinds = [kind for kind in FAULTS if any(word in kind for word in words)]
        plan = draw(seed=seed, faults=asked.faults, posts=posts, pace_s=pace_s, kinds=kinds)
    # What the tools in here say about a broker that is being killed is no news.
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

    def say(line: str) -> None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    path = asked.log or _FOLDER / f"{plan.seed}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    log = Log(path)
    try:
        report = asyncio.run(Run(plan, log, say, mutant=asked.mutant, guarantee=asked.delivery)())
        log.write("report", report=report)
    finally:
        log.close()
    (asked.json or path.with_suffix(".json")).write_text(as_json(report), encoding="utf-8")
    sys.stdout.write(report.text())
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
