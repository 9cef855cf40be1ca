"""docs/dashboards.md: the ten lines run as written, and all that it names is there."""

import re
import sys
from pathlib import Path

import msgspec

from monitor.live.journal import window_key
from monitor.settings import Settings
from monitor.telemetry import metrics
from monitor.windows.valence import NEGATIVE_BELOW
from runtime.kafka.producing import kafka_producer
from schemas.generate import affect_event_schema
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


PAGE_TEXT = PAGE.read_text(encoding="utf-8")
FLINK = {"STRING": "string", "DOUBLE": "number", "ARRAY<STRING>": "array"}
"""Flink's types and JSON Schema's."""


def test_the_flink_query_names_a_real_topic_and_fields_of_their_types() -> None:
    flink = PAGE_TEXT.split("## Flink SQL")[1]
    found = re.search(r"```sql\n(.*?)```", flink, re.DOTALL)
    assert found is not None
    table, query = (one.strip() for one in found[1].split(";") if one.strip())
    topic = re.search(r"'topic' = '(\S+)'", table)
    assert topic is not None
    assert topic[1] == Settings().output.events_topic
    schema = affect_event_schema()
    columns = dict(re.findall(r"(\w+) (STRING|DOUBLE|ARRAY<STRING>)[,>\n]", table))
    assert columns.keys() == {"post_id", "topics", "created_at", "valence"}
    fields = schema["properties"] | schema["$defs"]["Sentiment"]["properties"]
    assert {name: FLINK[kind] for name, kind in columns.items()} == {
        name: fields[name]["type"] for name in columns
    }
    assert set(re.findall(r"sentiment\.(\w+)", query)) == {"valence"}
    assert f"< {NEGATIVE_BELOW} " in query


def test_the_topics_and_the_gauges_that_the_page_names_are_there() -> None:
    rows = re.findall(r"^\| `(affect\.\S+)` \|", PAGE_TEXT, re.MULTILINE)
    monitor, output = Settings().monitor, Settings().output
    assert rows == [
        output.events_topic,
        monitor.windows_topic,
        monitor.alerts_topic,
        monitor.mutes_topic,
        monitor.baselines_topic,
    ]
    gauges = set(re.findall(r"`(emostream_track_\w+)`", PAGE_TEXT))
    assert gauges <= {one.name for one in metrics.ALL}
    assert gauges
