"""What a term begins with, and what it shows of itself."""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import cast

import aiohttp
import msgspec
import pytest
from aiokafka.errors import NodeNotReadyError
from structlog.testing import capture_logs

from monitor.app import run
from monitor.live.run import _fault, first_offsets
from monitor.telemetry import metrics as m
from runtime.clock import SystemClock
from runtime.kafka.errors import Fenced, Unreachable
from runtime.kafka.topic_log import KafkaTopicLog, Span
from runtime.telemetry.metric import Counts
from schemas.baseline import Baseline
from schemas.window import Window
from tests.monitor.live.stage import closing, folded, make_stage, posts
from tests.monitor.page.conftest import Stream


class Log:
    """A topic of four partitions that held the first hundred records once."""

    async def committed(self) -> dict[int, tuple[int, str]]:
        return {0: (150, ""), 1: (40, ""), 3: (900, "")}

    async def held(self) -> dict[int, Span]:
        return dict.fromkeys(range(4), Span(100, 200))

    async def offsets_at(self, _: datetime) -> dict[int, int]:
        return dict.fromkeys(range(4), 120)


async def test_committed_offsets_that_are_gone_are_counted_and_logged() -> None:
    counts = Counts(m.ALL)
    with capture_logs() as logs:
        starts = await first_offsets(
            14, cast("KafkaTopicLog", Log()), counts=counts, clock=SystemClock()
        )
    assert starts == {0: 150, 1: 100, 2: 120, 3: 100}
    assert counts.value(m.LOST) == 60
    assert [(one["event"], one["partition"]) for one in logs] == [
        ("committed_offsets_gone", 1),
        ("committed_offsets_ahead", 3),
    ]


def test_fencing_is_seen_beside_other_faults_and_a_bug_is_no_fault() -> None:
    fenced, away = Fenced("f"), Unreachable("u")
    assert _fault(ExceptionGroup("", [away, ExceptionGroup("", [fenced])])) is fenced
    assert isinstance(_fault(ExceptionGroup("", [NodeNotReadyError()])), Unreachable)
    assert _fault(ExceptionGroup("", [away, KeyError("bug")])) is None


async def test_a_track_that_is_new_is_warmed_from_the_events_kept(
    bootstrap: str, tmp_path: Path
) -> None:
    stage = await make_stage(bootstrap, tmp_path)
    await stage.write([*posts(0, 300), *closing(10_000, 1_200)])
    expected = await stage.oracle()
    trains = {key for key in expected if key.startswith(b"trains")}
    async with stage.running(tracks=[{"name": "trains", "topics": ["trains"]}]):
        await stage.windows_until(trains)
    for _ in range(2):
        with capture_logs() as logs:
            async with stage.running():
                records = await stage.windows_until(expected)
        warmed = [one["tracks"] for one in logs if one["event"] == "tracks_warmed"]
        assert warmed in ([["planes", "buses"]], [])
    assert not warmed  # once is enough
    assert folded(records) == expected
    assert {record.key for record in records} == set(expected)
    stored = await stage.everything(stage.names.baselines)
    tracks = {msgspec.json.decode(one.value or b"", type=Baseline).track for one in stored}
    assert tracks == {"trains", "planes", "buses"}
    assert not await stage.everything(stage.names.alerts)


async def test_health_metrics_and_the_page_are_served_while_it_is_active(
    bootstrap: str, tmp_path: Path
) -> None:
    stage = await make_stage(bootstrap, tmp_path)
    await stage.write(posts(0, 200))
    with capture_logs() as logs:
        async with (
            stage.running(page={"port": 0}) as line,
            aiohttp.ClientSession() as http,
        ):
            page = line.rpartition(" ")[2]
            async with http.get(f"{page}/api/state") as answer:
                since = (await answer.json())["id"]
            async with http.get(f"{page}/api/live", params={"since": since}) as answer:
                await stage.write(closing(10_000, 1_000))
                expected = await stage.oracle()
                await told(Stream(answer.content), list(expected.values())[-1])
            (url,) = [one["url"] for one in logs if one["event"] == "health_listens"]
            for path in ("/livez", "/readyz"):
                async with http.get(url + path) as answer:
                    assert answer.status == 200
            async with http.get(f"{url}/metrics") as answer:
                metrics = await answer.text()
            async with http.get(page) as answer:
                assert answer.status == 200
                assert "<!doctype html>" in (await answer.text()).lower()
    assert "emostream_monitor_active 1.0" in metrics
    assert f"emostream_monitor_windows_total {len(expected)}.0" in metrics
    assert 'emostream_track_posts{track="trains"}' in metrics
    assert 'emostream_monitor_events_total{fate="duplicate"}' in metrics


async def told(stream: Stream, window: Window) -> None:
    """Until the page tells of it, which is after it was written, counted and put into gauges.

    The topic shows it earlier: the answer to a transaction's end may come after its records.
    """
    wanted, found = (window.track, window.start.timestamp()), set[tuple[str, float]]()
    while wanted not in found:
        for change in json.loads((await stream.until("changes"))["data"]):
            if change["type"] == "minutes":
                found.add((change["columns"]["track"], change["columns"]["start"]))


@pytest.mark.parametrize("key", ["windows", "alerts", "mutes", "baselines"])
async def test_a_topic_that_is_missing_is_named_at_once_with_the_way_out(
    bootstrap: str, tmp_path: Path, key: str
) -> None:
    stage = await make_stage(bootstrap, tmp_path)
    names = stage.settings.monitor.model_copy(update={f"{key}_topic": f"no-{key}-here"})
    settings = stage.settings.model_copy(update={"monitor": names})
    with capture_logs() as logs:
        assert await run(settings, signals=False) == 2
    said = re.sub(r" did you mean \S+\?;", "", logs[-1]["reason"])  # another test's topic, maybe
    assert said == f"there is no topic no-{key}-here; make it with: emostream topics create"
