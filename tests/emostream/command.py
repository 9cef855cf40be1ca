"""A command in a process of its own, waited for without blocking this one's event loop."""

import asyncio
import os
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str


async def start_command(*words: str, **env: str) -> asyncio.subprocess.Process:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("EMOSTREAM_")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "emostream",
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**clean, "NO_COLOR": "1", **env},
    )


async def finished(process: asyncio.subprocess.Process) -> Done:
    out, err = await process.communicate()
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


async def run_command(*words: str, **env: str) -> Done:
    return await finished(await start_command(*words, **env))
