"""`python -m tests.faults`: break things at random for a while, and show that nothing was lost."""

import argparse
import asyncio
import logging
import sys
import time
from pathlib import Path

import structlog

from tests.faults.faults import FAULTS
from tests.faults.mutants import MUTANTS
from tests.faults.plan import Log, draw, read_plan
from tests.faults.report import as_json
from tests.faults.run import Run

_SHORT = 100
"""Faults; what has more is a long run."""
_POSTS = 50_000
"""In 100 faults; 200,000 in 1,000."""
_PACE_S, _LONG_PACE_S = 10.0, 4.8
"""A short run takes about 20 minutes, and 1,000 faults about 85."""


def posts_of(faults: int) -> int:
    """How many posts a run with so many faults has."""
    return 500 * faults if faults <= _SHORT else max(_POSTS, 200 * faults)


def main() -> int:
    """Run; 0 when every promise was kept, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--faults", type=int, default=100, help="how many")
    parser.add_argument("--posts", type=int, help=f"how many; by default {_POSTS} and more")
    parser.add_argument("--seed", type=int, help="of plan and posts; by default one by the time")
    parser.add_argument("--pace", type=float, help="seconds from fault to fault, about")
    parser.add_argument("--only", nargs="*", help="kinds that contain one of these words")
    parser.add_argument(
        "--log", type=Path, default=Path("var/faults.jsonl"), help="replays the run"
    )
    parser.add_argument("--replay", type=Path, help="do again what this log says")
    parser.add_argument("--json", type=Path, help="where the report goes as JSON")
    parser.add_argument("--mutant", choices=("none", *MUTANTS), default="none")
    options = parser.parse_args()

    if options.replay:
        plan = read_plan(options.replay)
    else:
        words = options.only or [""]
        plan = draw(
            seed=options.seed if options.seed is not None else int(time.time()),
            faults=options.faults,
            posts=options.posts or posts_of(options.faults),
            pace_s=options.pace or (_PACE_S if options.faults <= _SHORT else _LONG_PACE_S),
            kinds=[kind for kind in FAULTS if any(word in kind for word in words)],
        )
    # What the tools in here say about a broker that is being killed is no news.
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

    def say(line: str) -> None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    options.log.parent.mkdir(parents=True, exist_ok=True)
    log = Log(options.log)
    try:
        report = asyncio.run(Run(plan, log, say, mutant=options.mutant)())
        log.write("report", report=report)
    finally:
        log.close()
    if options.json:
        options.json.write_text(as_json(report), encoding="utf-8")
    sys.stdout.write(report.text())
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
