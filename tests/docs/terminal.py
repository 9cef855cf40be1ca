"""Commands run as a person runs them: in a terminal of 80 columns (a pty)."""

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\r")
ROWS, COLUMNS = 24, 80


class Terminal:
    """One terminal in which one shell command runs."""

    def __init__(self, process: asyncio.subprocess.Process, master: int) -> None:
        self._process = process
        self._master = master
        self._raw = bytearray()
        self._changed = asyncio.Event()
        self._ended = False
        asyncio.get_running_loop().add_reader(master, self._read)

    @classmethod
    async def open(cls, command: str, folder: Path, environment: Mapping[str, str]) -> Self:
        """Run a command line there. `emostream` and `python` are those of this test."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        clean = {k: v for k, v in os.environ.items() if not k.startswith("EMOSTREAM_")}
        bin_folder = Path(sys.executable).parent
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            f"exec {command}" if _simple(command) else command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            env={
                **clean,
                "PATH": f"{bin_folder}:{clean['PATH']}",
                "TERM": "xterm-256color",
                **environment,
            },
            start_new_session=True,
        )
        os.close(slave)
        return cls(process, master)

    @property
    def pid(self) -> int:
        """Of the command, which leads a process group."""
        return self._process.pid

    @property
    def text(self) -> str:
        """All that was shown, without colours and cursor movements."""
        return _ESCAPES.sub(b"", bytes(self._raw)).decode(errors="replace")

    async def shows(self, pattern: str, *, within_s: float = 120) -> None:
        """Wait until what is shown has this, a regular expression; fail where it never will."""
        try:
            async with asyncio.timeout(within_s):
                while not re.search(pattern, self.text):
                    assert not self._ended, f"it ended without {pattern!r}:\n{self.text}"
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"not shown in {within_s} s: {pattern!r}\n{self.text}") from None

    async def ended(self, *, within_s: float = 120) -> int:
        """Wait for the command's end; its exit status."""
        async with asyncio.timeout(within_s):
            status = await self._process.wait()
            while not self._ended:  # what it said last may still be in the terminal
                self._changed.clear()
                await self._changed.wait()
        return status

    async def interrupt(self, *, within_s: float = 60) -> int:
        """Ctrl-C; the exit status."""
        os.killpg(self._process.pid, signal.SIGINT)
        return await self.ended(within_s=within_s)

    async def close(self) -> None:
        """Kill what still runs, and close the terminal."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):  # it has just ended
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
        if not self._ended:
            self._end()
        os.close(self._master)

    def _read(self) -> None:
        try:
            data = os.read(self._master, 65_536)
        except OSError:  # EIO: nobody has the other end any more
            data = b""
        if not data:
            self._end()
            return
        self._raw += data
        self._changed.set()

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._master)
        self._ended = True
        self._changed.set()


def _simple(command: str) -> bool:
    """Whether it is one command, which may take the shell's place and so its signals."""
    return not re.search(r"[|;&>]", command)
