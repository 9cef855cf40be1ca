"""A consumer process of the soak: started as an operator would, and looked at from outside."""

import asyncio
import os
import re
import signal
import sys
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from bench.soak.log import Sample

_STOP_S = 45.0
"""More than `drain.stop_s` and leaving the group may take together."""
_SCRAPE_S = 5.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Member:
    """One `emostream consume`, its log in a file."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log
        self._url = ""

    @classmethod
    async def start(cls, config: Path, log: Path) -> Self:
        """Start it; it ends with this process."""
        with log.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "emostream", "consume"),
                *("--config", str(config), "--exit-with-parent"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
            )
        return cls(process, log)

    async def ready(self) -> None:
        """Return when the group has given it its partitions. Raises RuntimeError if it ends."""
        assert self.process.stdout is not None
        line = (await self.process.stdout.readline()).decode()
        found = re.search(r"metrics at (\S+)", line)
        if found is None:
            raise RuntimeError(f"the consumer did not start; its log: {self.log}")
        self._url = found[1]

    async def stop(self) -> int:
        """SIGTERM: drain, commit, leave; the exit status."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self.process.wait(), _STOP_S)
            except TimeoutError:
                await self.kill()
        assert self.process.returncode is not None
        return self.process.returncode

    async def kill(self) -> None:
        """SIGKILL, where it still runs."""
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def sample(self, at_s: float) -> Sample:
        """Look at it: the kernel's figures first, for being asked costs a connection and a task."""
        proc = Path(f"/proc/{self.process.pid}")
        fds = sum(1 for _ in (proc / "fd").iterdir())
        status = dict(
            line.split(":", 1) for line in (proc / "status").read_text("ascii").splitlines()
        )
        # The 14th and 15th field; the second may hold blanks, the rest is counted from its end.
        times = (proc / "stat").read_text("ascii").rpartition(")")[2].split()[11:13]
        metrics = await asyncio.to_thread(_scrape, f"{self._url}/metrics")
        return Sample(
            at_s=round(at_s, 2),
            rss_mb=round(int(status["VmRSS"].split()[0]) * 1024 / 1e6, 3),
            fds=fds,
            threads=int(status["Threads"]),
            # Less the one that answers this very question.
            tasks=int(metrics["emostream_asyncio_tasks"]) - 1,
            cpu_s=sum(map(int, times)) / _TICKS,
            consumed=int(metrics["emostream_posts_consumed_total"]),
            in_flight=int(metrics["emostream_in_flight_posts"]),
            lag=int(metrics.get("emostream_lag_posts", 0)),
            partitions=int(metrics["emostream_partitions"]),
        )

    def logged(self, event: str) -> Iterator[tuple[float, dict[str, Any]]]:
        """Yield its log's lines of this event, with their time (Unix seconds)."""
        for line in self.log.read_bytes().splitlines():
            try:
                fields = msgspec.json.decode(line, type=dict[str, Any])
            except msgspec.DecodeError:  # a crash is written as it comes
                continue
            if fields.get("event") == event:
                yield datetime.fromisoformat(fields["timestamp"]).timestamp(), fields

    def tracebacks(self) -> int:
        """How many are in its log."""
        words = self.log.read_text(encoding="utf-8", errors="replace")
        return words.count("Traceback") + words.count('"exception"')


def _scrape(url: str) -> dict[str, float]:
    """Sums of all its metrics over their labels."""
    with urllib.request.urlopen(url, timeout=_SCRAPE_S) as response:
        body = response.read().decode()
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(body):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums
