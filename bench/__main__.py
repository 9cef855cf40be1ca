"""`make bench`: what a post costs, and how much of a model server's capacity is used.

    python -m bench [--only PART…] [--rounds 5] [--json FILE]

Progress goes to standard error, the tables to standard output.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from bench.backlog import backlog
from bench.delivery import delivery
from bench.machine import this_machine
from bench.options import Options
from bench.peers.race import peers
from bench.profiles import profiles
from bench.report import as_json, say, show
from bench.saturation import faults, saturation
from emostream.logs import quiet_logs

_PARTS = {
    "peers": peers,
    "saturation": saturation,
    "faults": faults,
    "backlog": backlog,
    "profiles": profiles,
    "delivery": delivery,
}


async def _run(names: list[str], options: Options, json: Path | None) -> bool:
    machine, parts = this_machine(), []
    with tempfile.TemporaryDirectory(prefix="emostream-bench-") as folder:
        for name in names:
            parts.append(await _PARTS[name](options, Path(folder)))
            if json is not None:  # after each part: what was measured is kept, whatever comes
                json.write_bytes(as_json(machine, parts))  # noqa: ASYNC240 - nothing else waits
    show(machine, parts)
    return all(goal.reached for part in parts for goal in part.goals)


def main() -> int:
    """Run it; exit status 0 when all goals were reached, 1 when not."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=_PARTS, default=list(_PARTS), metavar="PART")
    parser.add_argument("--rounds", type=int, default=5, help="of the peers, after a warm-up")
    parser.add_argument("--json", type=Path, help="write every figure there")
    parser.add_argument("--profile", type=Path, metavar="DIR", help="flame graphs there (py-spy)")
    parser.add_argument("--quick", action="store_true", help="small and short: to see it run")
    args = parser.parse_args()
    if sys.platform != "linux":
        say("the bench reads a process's costs from /proc: it runs on Linux only")
        return 2
    quiet_logs()
    options = Options(rounds=args.rounds, quick=args.quick, profile=args.profile)
    reached = asyncio.run(_run(args.only, options, args.json))
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
