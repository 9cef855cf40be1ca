"""docs/tutorial.md, run as a person would: each command, and what the page says it prints."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest

from tests.docs.terminal import Terminal
from tests.faults.ports import Ports

PAGE = Path(__file__).parents[2] / "docs/tutorial.md"
PORTS = ("9092", "3000", "9090", "8765")
"""What the page names; a test takes free ones, here and in what is expected. They are used minutes
later: of those that every test's broker draws from, one might be another's by then."""
ENDLESS = ("emostream broker", "emostream serve", "emostream consume", "emostream monitor")


class Step(NamedTuple):
    command: str
    shown: tuple[str, ...]
    """Lines that it prints; `…` stands for anything."""


def steps(page: str) -> Iterator[Step]:
    for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *lines = part.strip().split("\n")
            yield Step(command, tuple(lines))


def pattern(line: str) -> str:
    return re.escape(line).replace("…", r"[^\n]*")


@asynccontextmanager
async def opened(command: str, folder: Path, env: dict[str, str]) -> AsyncIterator[Terminal]:
    terminal = await Terminal.open(command, folder, env)
    try:
        yield terminal
    finally:
        await terminal.close()


@pytest.mark.kafka
@pytest.mark.timeout(600)
async def test_each_step_prints_what_the_page_says(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    own = Ports()
    ports = {port: str(own.take()) for port in PORTS}
    # In one pass: a free port may itself contain one that the page names (13000, say).
    page = re.sub("|".join(PORTS), lambda found: ports[found[0]], page)
    env = {
        "EMOSTREAM_KAFKA__BOOTSTRAP": f"127.0.0.1:{ports['9092']}",
        "EMOSTREAM_MODEL__SERVERS": f"http://localhost:{ports['3000']}",
        "EMOSTREAM_HTTP__PORT": ports["9090"],
        "EMOSTREAM_MONITOR__PAGE__PORT": ports["8765"],
        "EMOSTREAM_MONITOR__HTTP__PORT": "0",
    }
    done = list(steps(page))
    assert len([step for step in done if step.command.startswith("emostream")]) > 10
    running: list[Terminal] = []
    async with AsyncExitStack() as stack:
        stack.callback(own.close)
        for step in done:
            terminal = await stack.enter_async_context(opened(step.command, tmp_path, env))
            if step.command.startswith(ENDLESS):
                running.append(terminal)
                await terminal.shows(pattern(step.shown[0]))
                if step.command == "emostream consume":  # what comes next lists them
                    await terminal.shows("first_dead_letter")
                continue
            assert await terminal.ended() == 0, f"{step.command}\n{terminal.text}"
            wanted = ".*?".join(pattern(line) for line in step.shown if line != "…")
            found = re.search(wanted, terminal.text, re.DOTALL)
            assert found, f"{step}\n{terminal.text}"
            assert "Traceback" not in terminal.text
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{ports['8765']}/") as response,
        ):
            assert response.status == 200
        for terminal in reversed(running):
            assert await terminal.interrupt() in {0, 130}, terminal.text
            assert "Traceback" not in terminal.text
