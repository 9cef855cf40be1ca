"""`python -m tests.repeat`: the tests again and again, in random order; which ones fail at times?

The files that depend on time fifty times, the whole suite five times; each round draws its own
order. It says at the end which tests failed, how often, and the seeds that give their orders again
(`pytest --randomly-seed=SEED …`). What failing rounds printed is in var/repeat/.
"""

import argparse
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

_TESTS = Path(__file__).parent
_OUT = Path("var/repeat")
_ON_THE_CLOCK = re.compile(
    r"asyncio\.(sleep|timeout|wait_for)\(|time\.(sleep|monotonic)|perf_counter|subprocess"
    r"|EmbeddedKafka|bootstrap: str"
)
"""What waits for a real clock, a process or a broker. Most tests have a clock of their own."""
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


def depends_on_time(path: Path) -> bool:
    """Whether a test file waits for something that takes real time."""
    return bool(_ON_THE_CLOCK.search(path.read_text(encoding="utf-8")))


def failed(output: str) -> list[str]:
    """The tests that a run of pytest says have failed."""
    return _FAILED.findall(output)


class Rounds:
    """Runs pytest again and again, and remembers what failed with which seed."""

    def __init__(self, first_seed: int) -> None:
        self.failures: dict[str, list[int]] = defaultdict(list)
        self._seed = first_seed

    def run(self, name: str, times: int, arguments: Sequence[str]) -> None:
        """Run it so many times."""
        for number in range(1, times + 1):
            seed, began = self._seed, time.monotonic()
            self._seed += 1
            pytest = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
            done = subprocess.run(
                [*pytest, f"--randomly-seed={seed}", *arguments],
                check=False,
                capture_output=True,
                text=True,
            )
            found = failed(done.stdout)
            if done.returncode and not found:
                found = [f"pytest itself: exit {done.returncode}"]
            for test in found:
                self.failures[test].append(seed)
            if found:
                _OUT.mkdir(parents=True, exist_ok=True)
                text = done.stdout + done.stderr
                (_OUT / f"{seed}.txt").write_text(text, encoding="utf-8")
            took = time.monotonic() - began
            said = f"{len(found)} failed: {', '.join(found)}" if found else "passed"
            sys.stderr.write(f"{name} {number}/{times}, seed {seed}, {took:.0f} s: {said}\n")

    def report(self) -> str:
        """The table of what failed."""
        if not self.failures:
            return "no test failed in any round\n"
        rows = [
            f"| {test} | {len(seeds)} | {' '.join(map(str, seeds))} |"
            for test, seeds in sorted(self.failures.items())
        ]
        return "\n".join(["| test | times | seeds |", "|---|---:|---|", *rows]) + "\n"


def main() -> int:
    """Run; 0 when nothing failed in any round."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.repeat",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--times", type=int, default=50, help="of the files that depend on time")
    parser.add_argument("--suites", type=int, default=5, help="of the whole suite")
    parser.add_argument("--seed", type=int, help="of the first round; by default by the time")
    parser.add_argument("--list", action="store_true", help="name those files, run nothing")
    parser.add_argument("--only", nargs="*", default=[""], help="files with one of these words")
    parser.add_argument("pytest", nargs="*", help="more arguments for pytest, after --")
    asked = parser.parse_args()
    files = [
        str(path.relative_to(_TESTS.parent))
        for path in sorted(_TESTS.rglob("test_*.py"))
        if depends_on_time(path) and any(word in str(path) for word in asked.only)
    ]
    if asked.list:
        sys.stdout.write("\n".join(files) + "\n")
        return 0
    rounds = Rounds(asked.seed if asked.seed is not None else int(time.time()))
    try:
        rounds.run("depending on time", asked.times, [*files, *asked.pytest])
        rounds.run("whole suite", asked.suites, asked.pytest)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: so far\n")
    sys.stdout.write(rounds.report())
    return 1 if rounds.failures else 0


if __name__ == "__main__":
    sys.exit(main())
