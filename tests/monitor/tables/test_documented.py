"""docs/dashboards.md: what is exported from a real Kafka is read as the page shows it."""

import asyncio
import importlib.util
import io
import json
import re
import sys
from contextlib import redirect_stdout
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("pyarrow", reason="of `make test`, not `make unit-light`")

from emostream.command_line import make_app
from emostream.exits import CommandError
from infra.kafka import TopicNames, create_topics, default_topics
from monitor.live.journal import window_key
from monitor.tables import parquet
from monitor.tables.folder import NO_DAY
from runtime.kafka.connection import Broker
from runtime.kafka.producing import kafka_producer
from schemas import Sentiment
from schemas.alert import AlertAction
from schemas.window import Expected, ExpectedValue, Window
from tests.monitor.alerts import make_alert
from tests.monitor.live.made import T0, event
from tests.process import Process
from tests.topics import topic_names

PAGE = Path(__file__).parents[3] / "docs/dashboards.md"
SECTION = PAGE.read_text(encoding="utf-8").split("## DuckDB and pandas")[1].split("\n## ")[0]
COMMAND = re.findall(r"^emostream (.*)$", SECTION, re.MULTILINE)[0]
EVENTS = [
    event(n, created_at=T0 + timedelta(hours=n), sentiment=Sentiment(valence=n % 2 / 2))
    for n in range(40)
]
USUAL = Expected(negative_soft=ExpectedValue(expected=0.2, low=0.1, high=0.3))
WINDOWS = [
    Window(version=1, track="trains", start=T0, end=T0, posts=9, negative_soft=0.5, expected=USUAL),
    Window(version=1, track="planes", start=T0, end=T0, posts=9, negative_soft=0.2, expected=USUAL),
]
ACTION = AlertAction(version=1, id="a", alert_id="alert-0", action="ack", by="ann", at=T0)
ALERTS = [make_alert("firing"), ACTION, make_alert("resolved")]


@pytest.fixture
async def names(bootstrap: str) -> TopicNames:
    """Topics that hold events, one of them twice, a window that was written again, and alerts."""
    names = topic_names()
    await create_topics({"bootstrap_servers": bootstrap}, default_topics(names))
    written = [
        *((names.events, one.post_id.encode(), one) for one in (*EVENTS, EVENTS[3])),
        *((names.windows, window_key(one), one) for one in (*WINDOWS, WINDOWS[0])),
        *((names.alerts, b"alert-0", one) for one in ALERTS),
    ]
    async with kafka_producer(Broker(bootstrap=bootstrap)) as producer:
        for topic, key, value in written:
            await (await producer.send(topic, key=key, value=msgspec.json.encode(value)))
    return names


@pytest.fixture
def config(bootstrap: str, names: TopicNames, tmp_path: Path) -> Path:
    path = tmp_path / "emostream.toml"
    path.write_text(
        f'[kafka]\nbootstrap = "{bootstrap}"\n[output]\nevents_topic = "{names.events}"\n'
        f'[monitor]\nwindows_topic = "{names.windows}"\nalerts_topic = "{names.alerts}"\n',
        encoding="utf-8",
    )
    return path


async def export(config: Path, command: str = COMMAND) -> str:
    """Run the page's command, its folder beside the configuration."""
    words = command.replace("tables", str(config.parent / "tables")).split()
    out = io.StringIO()
    with redirect_stdout(out):
        await asyncio.to_thread(make_app(overview=False), [*words, "--config", str(config)])
    return out.getvalue()


async def test_the_command_writes_all_tables_and_says_what_it_did(config: Path) -> None:
    done = {
        one["table"]: one for one in json.loads(await export(config, f"{COMMAND} --json"))["tables"]
    }
    assert {name: one["rows"] for name, one in done.items()} == {
        "events": 41,
        "windows": 3,
        "alerts": 2,
        "actions": 1,
    }
    said = (await export(config)).splitlines()
    assert len(said) == 4
    assert "0 rows in 0 files" in said[0]
    assert "41 rows in all" in said[0]


async def test_duckdb_reads_it_as_the_page_shows(config: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="of `make test`, not `make unit-light`")
    await export(config)
    found = re.search(r"```sql\n(.*?)```", SECTION, re.DOTALL)
    assert found is not None
    sql = found[1].replace("tables/", f"{config.parent}/tables/")
    *views, mood, emotions, worse = [part for part in sql.split(";\n") if part.strip()]
    with duckdb.connect() as database:
        for view in views:
            database.execute(view)
        assert database.execute("SELECT count(*) FROM events").fetchone() == (40,)
        days = database.execute("SELECT DISTINCT day FROM events ORDER BY 1").fetchall()
        assert [str(day) for (day,) in days] == ["2026-03-02", "2026-03-03"]
        rows = database.execute(mood).fetchall()
        assert len(rows) == 40
        assert [share for *_, share in rows[:2]] == [1.0, 0.0]
        assert database.execute(emotions).fetchall() == [("made-up", "anger", 26)]
        assert [row[0] for row in database.execute(worse).fetchall()] == ["trains"]
        later = mood.replace("day >= '2026-01-31'", "day >= '2026-03-03'")
        ((_, plan),) = database.execute(f"EXPLAIN ANALYZE {later}").fetchall()
        read = {int(files) for files in re.findall(r"Total Files Read: (\d+)", plan)}
        assert read == {len(list(config.parent.glob("tables/events/day=2026-03-03/*.parquet")))}
        assert len(database.execute(later).fetchall()) < 40


@pytest.mark.skipif(
    importlib.util.find_spec("pandas") is None, reason="of `make test`, not `make unit-light`"
)
async def test_pandas_reads_it_as_the_page_shows_also_where_a_day_is_null(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "MOST_DAYS", 1)
    await export(config)
    assert (config.parent / f"tables/events/day={NO_DAY}").is_dir()
    found = re.search(r"```python\n(.*?)```", SECTION, re.DOTALL)
    assert found is not None
    code = found[1] + "print(len(events), 'events')\n"
    call = 'pd.read_parquet("tables/events", partitioning=None'
    assert f"{call})" in code
    named = re.search(r"name a file of today, `(schema=.*)\(FILE\)`", SECTION)
    assert named is not None
    newest = max(config.parent.glob("tables/events/day=*/*.parquet"))
    schema = f"{named[1]}({str(newest)!r})"
    code = f"import pyarrow.parquet\n{code.replace(f'{call})', f'{call}, {schema})')}" + code
    async with Process(sys.executable, "-c", code, cwd=config.parent) as process:
        assert await process.wait() == 0, process.output
    assert process.stdout[-1] == "40 events"
    assert any(line.split()[-1] == "26" for line in process.stdout if "anger" in line)


async def test_wrong_usage_is_a_sentence(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match="later than --since"):
        await export(config, "events export --out tables --since 2026-02-01 --until 2026-01-01")
    with pytest.raises(CommandError, match="single --what"):
        await export(config, f"{COMMAND} --topic other")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(CommandError, match=r"pip install 'emostream\[tables\]'"):
        await export(config)
