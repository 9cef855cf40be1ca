"""The demo's model server and consumer: the very commands that run in production, as children."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from emostream.exits import CommandError

_STOP_S = 20.0
"""An orderly stop takes a second or two; after this it is killed."""
_TAIL_LINES = 12
"""Of a child's log, quoted when it fails: the cause is in its last words."""


class Child:
    """One `emostream …` process, its log in a file. It stops when this process ends, however.

    Its standard input is a pipe from here: `--exit-with-parent` makes it stop at end of file.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process

    @classmethod
    async def start(
        cls, name: str, arguments: Sequence[str], env: Mapping[str, str], folder: Path
    ) -> Self:
        """Start `emostream ARGUMENTS`, its standard error going to `folder/name.log`."""
        log = folder / f"{name}.log"
        with log.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # a folder `schemas/` where the demo was started isn't ours
                "-m",
                "emostream",
                *arguments,
                "--exit-with-parent",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, **env},
                start_new_session=True,  # a terminal's Ctrl-C is ours to pass on, in order
            )
        return cls(name, process, log)

    async def ready_line(self, timeout_s: float = 60.0) -> str:
        """Its first line on standard output: it is ready.

        Raises:
            CommandError: it ended or stayed silent; quotes its log.
        """
        assert self._process.stdout is not None
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                if line := await self._process.stdout.readline():
                    return line.decode().strip()
                await self._process.wait()
        raise CommandError(self._last_words("did not become ready"))

    async def failed(self) -> str:
        """Wait until it ends; its last output."""
        await self._process.wait()
        return self._last_words("ended")

    async def stop(self) -> int:
        """Ask it to stop, insist after 20 seconds; its exit status."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(_STOP_S):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
        return await self._process.wait()

    def _last_words(self, what: str) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        quoted = "\n".join(f"  {line}" for line in lines[-_TAIL_LINES:])
        status = self._process.returncode
        status_text = "" if status is None else f" (exit status {status})"
        return f"the {self.name} {what}{status_text}; its log says:\n{quoted}"
