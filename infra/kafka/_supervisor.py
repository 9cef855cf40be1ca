"""Our side of the guard: starts programs that end with us, and tells when they end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from infra.kafka.errors import BrokerError

_GUARD = Path(__file__).with_name("_guard.py")
# What the machine's own Java settings would do to ours.
_FOREIGN = ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH", "JAVA_HOME")
# Reported when the guard itself was killed; on Linux Java dies with it.
_GUARD_LOST = -int(signal.SIGKILL)
_LOST = "the broker's guard process was killed, and the broker with it: stop, then start again"


class Supervisor:
    """One guard process, and the one program at a time that it runs for us."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._pid: int | None = None
        self._started: asyncio.Future[int] | None = None
        self._exited: asyncio.Future[int] | None = None
        self._reader = asyncio.create_task(self._read(), name="kafka-guard")

    @classmethod
    async def open(cls, *, remove: Path | None, grace_s: float) -> Self:
        """Start a guard that deletes `remove` at the end, ours or its own.

        The guard has a session of its own, so that a terminal's Ctrl-C reaches only us.
        """
        if os.name != "posix":
            raise BrokerError("the embedded broker runs on Linux and macOS (on Windows: in WSL)")
        config = json.dumps({"remove": str(remove) if remove else None, "grace_s": grace_s})
        env = {key: value for key, value in os.environ.items() if key not in _FOREIGN}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            str(_GUARD),
            config,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=env,
            start_new_session=True,
        )
        return cls(process)

    @property
    def pid(self) -> int | None:
        """The running program's process id."""
        return self._pid

    @property
    def running(self) -> bool:
        """Whether a program was started and hasn't ended."""
        return self._exited is not None and not self._exited.done()

    def check(self) -> None:
        """Make sure that the guard lives.

        Raises:
            BrokerError: somebody killed it.
        """
        if self._reader.done():
            raise BrokerError(_LOST)

    async def run(self, argv: Sequence[str], *, log: Path) -> int:
        """Start a program whose output is appended to `log`; its process id.

        Raises:
            BrokerError: it can't be started, or one is running.
        """
        if self.running:
            raise BrokerError("a program is running under this guard already")
        self.check()
        loop = asyncio.get_running_loop()
        self._started, self._exited = loop.create_future(), loop.create_future()
        await self._order({"run": list(argv), "log": str(log)})
        return await self._started

    async def wait(self) -> int:
        """Wait for the program's end; its exit code, negative for a signal.

        Raises:
            BrokerError: none was ever started.
        """
        if self._exited is None:
            raise BrokerError("nothing was started under this guard")
        return await asyncio.shield(self._exited)

    async def end(self, number: signal.Signals, *, within_s: float) -> bool:
        """Send a signal and wait for the end, by SIGKILL at the latest; False if that was needed.

        Does nothing where the program has ended.
        """
        if not self.running:
            return True
        await self._order({"signal": int(number)})
        try:
            await asyncio.wait_for(self.wait(), within_s)
        except TimeoutError:
            await self._order({"signal": int(signal.SIGKILL)})
            await self.wait()
            return False
        return True

    async def close(self) -> None:
        """Let the guard go: what still runs is ended, the folder removed; returns when done."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(OSError):
            await self._process.stdin.wait_closed()
        await self._reader
        await self._process.wait()

    async def _order(self, order: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            await self._process.stdin.drain()
        except OSError as error:
            raise BrokerError(_LOST) from error

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            fact = json.loads(line)
            if "pid" in fact:
                self._pid = fact["pid"]
                _settle(self._started, fact["pid"])
            elif "exited" in fact:
                self._pid = None
                _settle(self._exited, fact["exited"])
            else:
                _refuse(self._started, fact["failed"])
                _settle(self._exited, 127)  # a shell's code for "not found"
        # The guard was killed. On Linux Java dies with it; elsewhere it would live on.
        if self._pid is not None and sys.platform != "linux":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self._pid, signal.SIGKILL)
        self._pid = None
        _refuse(self._started, "the guard process was killed")
        _settle(self._exited, _GUARD_LOST)


def _settle(future: asyncio.Future[int] | None, value: int) -> None:
    if future is not None and not future.done():
        future.set_result(value)


def _refuse(future: asyncio.Future[int] | None, reason: str) -> None:
    if future is not None and not future.done():
        future.set_exception(BrokerError(f"Java could not be started: {reason}"))
