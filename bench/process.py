"""A program under measurement: a process of its own, its log in a file, its costs from /proc."""

import asyncio
import ctypes
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.model.server import ROOT

_TICKS = os.sysconf("SC_CLK_TCK")
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
_STOP_S = 30.0
"""An orderly stop takes a second or two; after this it is killed."""
_TAIL_LINES = 12


class Costs(NamedTuple):
    """What a process has used."""

    cpu_s: float
    """Seconds of processor, user and system, all its threads."""
    rss_mb: float
    """Most memory it ever had resident, in MB (10^6 bytes)."""
    data_mb: float
    """Private writable memory it has asked for now: what RLIMIT_DATA bounds."""


class MeasuredProcess:
    """`python -m MODULE …`; it dies with this process, and writes its log to `folder/name.log`."""

    def __init__(
        self,
        name: str,
        module: Sequence[str],
        env: Mapping[str, str],
        folder: Path,
        *,
        data_limit_mb: int = 0,
    ) -> None:
        """`data_limit_mb` bounds its data segment (RLIMIT_DATA), from the start; 0: not."""
        self.name = name
        self.log = folder / f"{name}.log"
        self._limit = data_limit_mb * 1_000_000
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *module],
                cwd=ROOT,
                env={**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=self._prepare,  # noqa: PLW1509 - two system calls; no lock, no import
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def costs(self) -> Costs:
        """What it has used so far. Raises RuntimeError, with its last words, when it has ended."""
        self.check()
        stat = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{self.pid}/status").read_text().splitlines()
        )
        return Costs(
            cpu_s=(int(stat[11]) + int(stat[12])) / _TICKS,
            rss_mb=int(status["VmHWM"].split()[0]) * 1024 / 1e6,
            data_mb=int(status["VmData"].split()[0]) * 1024 / 1e6,
        )

    def check(self) -> None:
        """Raise RuntimeError, with its last words, when it has ended."""
        status = self._process.poll()
        if status is not None:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
            output = "\n".join(f"  {line}" for line in lines[-_TAIL_LINES:])
            raise RuntimeError(
                f"{self.name} ended with exit status {status}; its output:\n{output}"
            )

    async def stop(self) -> int:
        """SIGTERM, and SIGKILL after 30 s; its exit status."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                await asyncio.to_thread(self._process.wait, _STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        return await asyncio.to_thread(self._process.wait)

    def wait(self) -> None:
        """Block until it ends by itself. Raises RuntimeError when that isn't with status 0."""
        if self._process.wait():
            self.check()

    def kill(self) -> None:
        """SIGKILL, whatever it does."""
        self._process.kill()
        self._process.wait()

    def _prepare(self) -> None:
        """In the child, before it becomes Python."""
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if self._limit:
            resource.setrlimit(resource.RLIMIT_DATA, (self._limit, self._limit))
