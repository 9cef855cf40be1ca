"""docs/dashboards.md: the ten lines run as written."""

import re
import sys
from pathlib import Path

import msgspec

from monitor.live.journal import window_key
from runtime.kafka.producing import kafka_producer
from schemas.window import Window
from tests.monitor.live.made import T0
from tests.monitor.live.stage import make_stage
from tests.process import Process

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
    async with Process(sys.executable, "-u", "-c", code, cwd=tmp_path) as process:
        line = await process.wait_for_line("trains")
    assert line.split() == ["2026-03-02T08:00:00Z", "trains", "21", "0.35"]
