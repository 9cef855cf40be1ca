"""docs/dashboards.md: the ten lines run as they stand."""

import asyncio
import re
import sys
from pathlib import Path

import msgspec

from monitor.live.journal import window_key
from runtime.kafka.producing import kafka_producer
from schemas.window import Window
from tests.monitor.live.made import T0
from tests.monitor.live.stage import WAIT_S, make_stage

PAGE = Path(__file__).parents[2] / "docs/dashboards.md"


async def test_ten_lines_of_python_read_the_windows_without_our_code(
    bootstrap: str, tmp_path: Path
) -> None:
    stage = await make_stage(bootstrap, tmp_path)
    window = Window(
        version=1, track="trains", start=T0, end=T0, posts=21, scored=20, negative_share=0.35
    )
    async with kafka_producer(stage.broker) as producer:
        await (
            await producer.send(
                stage.names.windows, key=window_key(window), value=msgspec.json.encode(window)
            )
        )
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    code = found[1]
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    assert "monitor" not in code
    code = code.replace("localhost:9092", bootstrap).replace("affect.windows", stage.names.windows)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-c", code), cwd=tmp_path, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(WAIT_S):
        line = await process.stdout.readline()
    process.kill()
    await process.wait()
    assert line.split() == [b"2026-03-02T08:00:00Z", b"trains", b"21", b"0.35"]
