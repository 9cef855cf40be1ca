"""`python -m tests.hostile fuzz`: throw everything at it, and show what became of it."""

import argparse
import sys
from pathlib import Path

from tests.hostile.fuzz import run, say, table


def main() -> int:
    """Run; 0 when every promise was kept. What breaks one is raised, made small."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("what", choices=("fuzz",))
    parser.add_argument("--inputs", type=int, default=1_000_000, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="of the first round")
    parser.add_argument("--state", type=Path, help="keeps the count: a run cut off goes on")
    options = parser.parse_args()
    sys.stdout.write(table(run(options.inputs, options.seed, options.state, say)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
