"""A program as a process of its own: started, listened to, signalled, and never left running."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec

ROOT = Path(__file__).resolve().parents[1]
WAIT_S = 90.0
"""For anything: this machine may be busy. Nothing that is right takes it."""
_MAX_LINES = 100_000
"""Bounds memory; the debug log of a consumer in a test has some thousands."""
_MAX_LINE_BYTES = 1 << 20
"""Many times what a program of ours writes; a longer line fails the test."""
_SHOWN_LINES = 60
"""Of the output, in a failure's message."""
_OUTPUT = "its output:"


class _Line(NamedTuple):
    stream: str
    text: str


class Process:
    """`async with Process(sys.executable, "-m", "emostream", …) as process`.

    Its standard input is empty; its output is read as it comes and kept. At the end of the block
    it is killed, unless it has ended, with all that it started in its process group. What fails
    in the block shows the end of the output.
    """

    def __init__(
        self,
        *command: str,
        environment: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        log: Path | None = None,
    ) -> None:
        """Prepare it.

        `environment` is added to this process's own, from which the variables that configure
        emostream are taken. `log` gets all output, too, for whoever looks at it later.
        """
        self._command = command
        clean = {k: v for k, v in os.environ.items() if not k.startswith("EMOSTREAM_")}
        self._environment = {**clean, **(environment or {})}
        self._cwd = cwd
        self._log = None if log is None else log.open("wb")
        self._lines: list[_Line] = []
        self._changed = asyncio.Event()
        """Set by each line and each end of a stream; whoever waits clears it first."""
        self._readers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
            cwd=self._cwd,
            limit=_MAX_LINE_BYTES,
            start_new_session=True,
        )
        for name, pipe in (("stdout", self._process.stdout), ("stderr", self._process.stderr)):
            assert pipe is not None
            self._readers.append(asyncio.create_task(self._read(name, pipe)))
        return self

    async def __aexit__(self, _: object, failure: BaseException | None, __: object) -> None:
        ended = self.status
        with suppress(ProcessLookupError, PermissionError):  # the latter on macOS, of a zombie
            os.killpg(self.pid, signal.SIGKILL)
        await self._process.wait()
        await asyncio.gather(*self._readers)
        if self._log is not None:
            self._log.close()
        if failure is not None and _OUTPUT not in str(failure):
            state = "still ran" if ended is None else f"had ended with status {ended}"
            failure.add_note(self._with_output(state))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status; None while it runs."""
        return self._process.returncode

    @property
    def stdout(self) -> list[str]:
        """The lines that it has written there so far, without their ends."""
        return [line.text for line in self._kept() if line.stream == "stdout"]

    @property
    def stderr(self) -> list[str]:
        """Likewise."""
        return [line.text for line in self._kept() if line.stream == "stderr"]

    @property
    def output(self) -> str:
        """All that it has written so far to both, in the order in which it was read."""
        return "\n".join(line.text for line in self._kept())

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events of its log so far, where that is written as JSON."""
        return [msgspec.json.decode(line) for line in self.stderr if line.startswith("{")]

    async def wait_for_line(self, text: str, *, times: int = 1) -> str:
        """Return as soon as so many lines of the output hold `text`; give the last of these.

        Fails, and shows the output so far, where it ends before that or takes `WAIT_S`.
        """
        found = looked_at = 0
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    for line in self._lines[looked_at:]:
                        looked_at += 1
                        found += text in line.text
                        if found == times:
                            return line.text
                    if all(reader.done() for reader in self._readers):
                        message = f"it ended without {text!r}, {times} times"
                        raise AssertionError(self._with_output(message))
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            message = f"no {text!r}, {times} times, within {WAIT_S:g} s"
            raise AssertionError(self._with_output(message)) from None

    async def wait_for_event(self, name: str) -> dict[str, Any]:
        """Return the first event of this name in its JSON log, as soon as it is there."""
        event: dict[str, Any] = msgspec.json.decode(await self.wait_for_line(f'"event": "{name}"'))
        return event

    async def wait(self) -> int:
        """Return the exit status, once it has ended and all of its output is read.

        Fails, and shows the output so far, where it takes `WAIT_S`.
        """
        try:
            async with asyncio.timeout(WAIT_S):
                await asyncio.wait(self._readers)
                return await self._process.wait()
        except TimeoutError:
            message = f"it runs on after {WAIT_S:g} s"
            raise AssertionError(self._with_output(message)) from None

    def signal(self, number: int) -> None:
        """Send it a signal; does nothing where it has ended."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def hold_ctrl_c(self) -> None:
        """SIGINT upon SIGINT, as a terminal sends them, until it has ended."""
        while self.status is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGINT)  # send_signal would take its status from asyncio
            await asyncio.sleep(0.001)

    async def kill(self) -> None:
        """SIGKILL, to it alone; return once it has ended."""
        self.signal(signal.SIGKILL)
        await self.wait()

    async def stop(self) -> int:
        """SIGTERM; give the exit status."""
        self.signal(signal.SIGTERM)
        return await self.wait()

    async def _read(self, stream: str, pipe: asyncio.StreamReader) -> None:
        try:
            async for line in pipe:
                if self._log is not None:
                    self._log.write(line)
                if len(self._lines) < _MAX_LINES:
                    text = line.decode(errors="replace").rstrip("\r\n")
                    self._lines.append(_Line(stream, text))
                self._changed.set()
        finally:
            # Once this task is done.
            asyncio.get_running_loop().call_soon(self._changed.set)

    def _kept(self) -> list[_Line]:
        assert len(self._lines) < _MAX_LINES, "it has written more than is kept"
        return self._lines

    def _with_output(self, message: str) -> str:
        shown = "\n".join(line.text for line in self._lines[-_SHOWN_LINES:])
        return f"{' '.join(self._command)}: {message}; {_OUTPUT}\n{shown}"


def emostream(
    *words: str,
    environment: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    log: Path | None = None,
) -> Process:
    """Prepare `emostream …` as a process."""
    command = (sys.executable, "-m", "emostream", *words)
    return Process(*command, environment=environment, cwd=cwd, log=log)
