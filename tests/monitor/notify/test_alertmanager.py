"""A real Alertmanager takes what we send, shows it as active, and as ended once it is resolved."""

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from monitor.notify.message import compose
from monitor.notify.settings import NotifySettings
from monitor.notify.targets.alertmanager import Alertmanager
from runtime.clock import SystemClock
from tests.monitor.notify.alerts import alert
from tests.process import Process

BINARY = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")


@asynccontextmanager
async def alertmanager(folder: Path) -> AsyncIterator[str]:
    assert BINARY is not None
    config = folder / "alertmanager.yml"
    config.write_text("route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n")
    process = Process(
        BINARY,
        f"--config.file={config}",
        f"--storage.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
        "--cluster.listen-address=",
    )
    async with process:
        # Its log's last line before it serves.
        line = await process.wait_for_line("TLS is disabled")
        found = re.search(r"address=(127\.0\.0\.1:\d+)", line)
        assert found is not None, line
        yield f"http://{found[1]}"


async def shown(url: str) -> list[dict[str, Any]]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url}/api/v2/alerts", params={"filter": 'track="airline"'}) as response,
    ):
        found: list[dict[str, Any]] = await response.json()
    return found


@pytest.mark.skipif(BINARY is None, reason="needs apt install prometheus-alertmanager")
async def test_a_real_alertmanager_shows_what_fires_and_no_more_once_it_is_resolved(
    tmp_path: Path,
) -> None:
    async with alertmanager(tmp_path) as url:
        settings = NotifySettings(name="am", kind="alertmanager", url=SecretStr(url))
        target = Alertmanager(settings, clock=SystemClock())
        await target.deliver(compose([alert()], page_url="http://127.0.0.1:8765"))
        (active,) = await shown(url)
        await target.deliver(compose([alert(transition="resolved")]))
        ended = await shown(url)
        await target.aclose()
    assert active["status"]["state"] in {"active", "unprocessed"}
    assert active["labels"]["measure"] == "negative_share"
    assert active["annotations"]["posts"] == "212"
    assert active["generatorURL"].startswith("http://127.0.0.1:8765/?track=airline")
    assert ended == []
