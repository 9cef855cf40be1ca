"""Real consumer processes, as an operator would run them, to be killed, stopped and joined."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Self


class Members:
    """The group's processes; whatever a test does, none outlives it."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._started: list[ConsumerProcess] = []

    async def join(self, name: str) -> "ConsumerProcess":
        """Start a member of the group and wait until it says it is ready."""
        member = await ConsumerProcess.start(self._config, name)
        self._started.append(member)
        await member.ready()
        return member

    async def end(self) -> None:
        """Kill what still runs."""
        for member in self._started:
            if member.process.returncode is None:
                await member.kill()


class ConsumerProcess:
    """One `emostream consume`, its log in a file."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log

    @classmethod
    async def start(cls, config: Path, name: str) -> Self:
        """Start it."""
        log = config.parent / f"{name}.log"
        with log.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "emostream",
                "consume",
                "--config",
                str(config),
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, "EMOSTREAM_HTTP__PORT": "0"},
            )
        return cls(process, log)

    async def ready(self) -> None:
        """Wait until the group has given it its partitions."""
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        assert line.startswith(b"emostream consumer is ready"), self.words()

    async def kill(self) -> None:
        """Kill -9: nothing is drained, nothing committed."""
        self.process.kill()
        await self.process.wait()

    async def terminate(self) -> int:
        """SIGTERM: drain, commit, leave; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return await self.process.wait()

    def published(self) -> int:
        """Events it published over its life, as it says when it stops."""
        last = json.loads(self.words().splitlines()[-1])
        assert last["event"] == "stopped", last
        return int(last["published"])

    def words(self) -> str:
        """Its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")
