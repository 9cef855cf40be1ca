"""A long run as several shorter ones: each a process, some side by side, added up in the end."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.faults.report import Report, add, read_report


async def run_slices(
    folder: Path,
    seeds: Sequence[int],
    faults: int,
    posts: int,
    more: Sequence[str],
    *,
    at_once: int,
) -> Report:
    """Run one slice for each seed, with so many faults and posts; give what they add up to.

    Each leaves SEED.json, SEED.jsonl and SEED.txt (what it printed) in `folder`, which exists.

    Raises:
        RuntimeError: a slice ended without a report.
    """
    free = asyncio.Semaphore(at_once)

    async def run(seed: int) -> Report | None:
        async with free:
            sys.stderr.write(f"slice {seed} begins\n")
            path = folder / f"{seed}.json"
            path.unlink(missing_ok=True)
            with (folder / f"{seed}.txt").open("wb") as out:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "tests.faults", "--seed", str(seed)),
                    *("--faults", str(faults), "--posts", str(posts)),
                    *("--log", str(path.with_suffix(".jsonl")), "--json", str(path), *more),
                    stdout=out,
                    stderr=out,
                )
                try:
                    status = await process.wait()
                finally:
                    with suppress(ProcessLookupError):
                        process.terminate()
            sys.stderr.write(f"slice {seed} ended with {status}\n")
            return read_report(path) if path.exists() else None

    found = await asyncio.gather(*map(run, seeds))
    reports = [one for one in found if one is not None]
    if len(reports) < len(seeds):
        raise RuntimeError(f"{len(seeds) - len(reports)} slices ended without a report: {folder}")
    return add(reports)
