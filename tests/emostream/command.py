"""A command in a process of its own, waited for without blocking this one's event loop."""

from dataclasses import dataclass

from tests.process import emostream


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str


async def run_command(*words: str, **env: str) -> Done:
    """Run `emostream …` to its end."""
    async with emostream(*words, environment={"NO_COLOR": "1", **env}) as process:
        status = await process.wait()
    return Done(status, "\n".join(process.stdout), "\n".join(process.stderr))
