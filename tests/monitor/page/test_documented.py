"""The commands of docs/page.md run."""

import re
import signal
import sys

import aiohttp
import pytest

from tests.process import ROOT, Process


async def test_uplot_that_is_there_is_not_fetched_again() -> None:
    async with Process(sys.executable, "-m", "monitor.page.vendor") as process:
        assert await process.wait() == 0
    assert process.stdout == ["uplot 1.6.32: is there already"]


async def test_the_page_with_made_up_figures_is_served_until_ctrl_c() -> None:
    command = (sys.executable, "-m", "tests.monitor.page", "--port", "0", "--tracks", "1")
    async with Process(*command) as process:
        line = await process.wait_for_line("page: http://")
        url = line.removeprefix("page: ")
        async with aiohttp.ClientSession() as http, http.get(f"{url}/api/state") as response:
            assert response.status == 200
        process.signal(signal.SIGINT)
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
