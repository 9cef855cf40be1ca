"""The commands of docs/page.md run."""

import asyncio
import re
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

ROOT = Path(__file__).parents[3]


async def run(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


async def test_uplot_that_is_there_is_not_fetched_again() -> None:
    assert await run("-m", "monitor.page.vendor") == (0, "uplot 1.6.32: is there already\n")


async def test_the_page_with_made_up_figures_is_served_until_ctrl_c() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.monitor.page", "--port", "0", "--tracks", "1"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    url = ""
    while not url.startswith("http"):
        line = await process.stdout.readline()
        assert line, "it ended without saying where it is served"
        url = line.decode().strip()
    async with aiohttp.ClientSession() as http, http.get(f"{url}/api/state") as answer:
        assert answer.status == 200
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0


def test_every_picture_of_the_docs_is_there_and_small() -> None:
    text = (ROOT / "docs" / "page.md").read_text(encoding="utf-8")
    pictures = re.findall(r"images/[\w-]+\.png", text)
    assert len(pictures) == 4
    for picture in pictures:
        assert 10_000 < (ROOT / "docs" / picture).stat().st_size < 250_000


@pytest.mark.parametrize(
    "setting",
    ["allowed_hosts", "token_file", "user_header", "trusted_proxies", "max_viewers", "actions"],
)
def test_the_docs_name_every_setting_that_decides_who_gets_in(setting: str) -> None:
    assert setting in (ROOT / "docs" / "page.md").read_text(encoding="utf-8")
