"""Every curve of the dashboards, asked of a real Prometheus that scrapes a running pipeline."""

import asyncio
import json
import math
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from runtime.kafka.producing import kafka_producer
from schemas import Post
from tests.http_server import serving
from tests.infra.grafana.promql import filled
from tests.infra.grafana.test_dashboards import RULES, Query, queries
from tests.monitor.live.stage import Stage, make_stage
from tests.process import WAIT_S, Process, emostream
from tests.tgi import FakeTgi, varied

POSTS = 240
TRACKS = ("trains", "planes", "buses")
WITHOUT_A_VALUE = {
    "{{track}}, usual": "absent until a track has hours behind it",
    "Above the usual": "likewise",
    "Transitions": "no alert was raised yet",
    "Notifications": "no receiver is configured",
    **dict.fromkeys(
        (
            "Connected",
            "Since the last item",
            "How late a source is read",
            "Records written",
            "Live disconnects",
            "Time that is lost",
        ),
        "no live source is read",
    ),
    "Time of a transaction": "delivery is at-least-once",
    "How the two models agree": "absent until both have read 200 posts, each answer in time",
}
"""By panel or legend: why a healthy pipeline that has just begun has no number there."""

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="there is no prometheus (Debian has it)"
)


class Scraped:
    """Hands a program's /metrics to Prometheus, and tells what it handed over."""

    def __init__(self) -> None:
        self.url = ""
        """Where the program serves them; empty until it does."""
        self._bodies: list[str] = []
        self._came = asyncio.Event()

    async def handle(self, _: web.Request) -> web.Response:
        try:
            async with aiohttp.ClientSession() as http, http.get(f"{self.url}/metrics") as answer:
                body = await answer.text()
        except (aiohttp.ClientError, ValueError):  # not started, or ended
            return web.Response(status=503)
        self._bodies.append(body)
        self._came.set()
        return web.Response(text=body)

    async def once_more(self) -> None:
        """Until it was scraped again."""
        due = len(self._bodies) + 1
        await self._until(lambda: len(self._bodies) >= due)

    async def shows(self, line: str) -> None:
        """Until this line was handed over."""
        await self._until(lambda: any(line in body for body in self._bodies[-1:]))

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not holds():
                self._came.clear()
                await self._came.wait()


@asynccontextmanager
async def prometheus(folder: Path, target: str) -> AsyncIterator[str]:
    """A Prometheus with our rules; give its address."""
    shutil.copy(RULES, folder)
    jobs = [
        {
            "job_name": job,
            "metrics_path": path,
            "static_configs": [{"targets": [target.removeprefix("http://")]}],
        }
        for job, path in (("emostream", "/consumer"), ("emostream-monitor", "/monitor"))
    ]
    every = {"scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "200ms"}
    config = {"global": every, "rule_files": [RULES.name], "scrape_configs": jobs}
    # JSON is YAML.
    (folder / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")
    async with Process(
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        "--web.listen-address=127.0.0.1:0",
        "--log.format=json",
    ) as process:
        line = json.loads(await process.wait_for_line("Listening on"))
        await process.wait_for_line("Server is ready")
        yield f"http://{line['address']}"


async def send(stage: Stage, posts: Iterable[Post]) -> None:
    """Posts, and a record that is none."""
    values = [(post.id, msgspec.json.encode(post)) for post in posts]
    values.append((f"bad-{values[0][0]}", b"no post"))
    async with kafka_producer(stage.broker) as producer:
        reports = [
            await producer.send(stage.names.posts, key=key.encode(), value=value)
            for key, value in values
        ]
        await asyncio.gather(*reports)


def made_up_posts(start: datetime) -> list[Post]:
    """Twenty minutes of them, on three tracks."""
    return [
        Post(
            id=f"p{number}",
            text=f"made-up post {number}",
            created_at=start + timedelta(seconds=1200 * number / POSTS),
            topics=(TRACKS[number % 3],),
        )
        for number in range(POSTS)
    ]


def late_windows(start: datetime) -> list[bytes]:
    """Keys: one of each track."""
    late = start + timedelta(minutes=17)
    return [f"{track}|{late:%Y-%m-%dT%H:%M}:00Z".encode() for track in TRACKS]


async def stored(http: aiohttp.ClientSession, base: str, *programs: Scraped) -> float:
    """Wait until what is true now of all of them is stored; give a time at which it was.

    A scrape that took too long stores nothing and ends all curves until the next one, as of the
    time when it began. So under load a question about "now" may find none, and a question about a
    moment ago may find none once a scrape that was under way then has ended. Of each program a
    later scrape than the time given has been stored: about that nothing changes any more.
    """
    since = time.time()
    while True:
        newest = await ask(http, base, "timestamp(up)", time.time())
        if len(newest) == len(programs):
            at = min(float(one["value"][1]) for one in newest)
            up = await ask(http, base, f"timestamp(up) > {since:.3f} and up == 1", at)
            if len(up) == len(programs):
                return at
        await asyncio.gather(*(one.once_more() for one in programs))


async def ask(http: aiohttp.ClientSession, base: str, expr: str, at: float) -> list[dict[str, Any]]:
    """What it is at that time (Unix seconds)."""
    asked = {"query": expr, "time": f"{at:.3f}"}
    async with http.get(f"{base}/api/v1/query", params=asked) as answer:
        body = await answer.json()
    assert body["status"] == "success", (expr, body)
    found: list[dict[str, Any]] = body["data"]["result"]
    return found


def has_value(found: list[dict[str, Any]]) -> bool:
    return any(math.isfinite(float(one["value"][1])) for one in found)


def may_be_empty(query: Query) -> bool:
    return bool({query.panel, query.legend} & set(WITHOUT_A_VALUE))


async def test_every_curve_has_a_value_while_the_pipeline_runs_and_no_rule_is_broken(
    bootstrap: str, tmp_path: Path
) -> None:
    start = datetime.now(UTC) - timedelta(minutes=20)
    posts, sent = made_up_posts(start), 0
    consumer, monitor = Scraped(), Scraped()
    stage = await make_stage(bootstrap, tmp_path)
    routes = (("GET", "/consumer", consumer.handle), ("GET", "/monitor", monitor.handle))
    async with (
        FakeTgi(varied) as tgi,
        FakeTgi(varied) as small,
        serving(*routes) as target,
        prometheus(tmp_path, target) as base,
        emostream(
            "consume",
            "--config",
            str(stage.config),
            environment={
                "EMOSTREAM_MODEL__SERVERS": tgi.url,
                "EMOSTREAM_MODEL__SECOND__SERVERS": small.url,
                "EMOSTREAM_HTTP__PORT": "0",
            },
        ) as process,
        aiohttp.ClientSession() as http,
    ):
        line = await process.wait_for_line("health_listens")
        consumer.url = json.loads(line)["url"]
        await process.wait_for_line("consumer is ready")
        with capture_logs() as logs:
            # No partition is taken for idle: the events of another one would make its own late.
            async with stage.running(lateness_s=0, idle_after_s=600):
                (monitor.url,) = [one["url"] for one in logs if one["event"] == "health_listens"]
                await stored(http, base, consumer, monitor)
                for wave in (posts[: POSTS // 2], posts[POSTS // 2 :]):
                    # What first shows with the first wave, grows with the second.
                    await send(stage, wave)
                    sent += len(wave) + 1
                    await consumer.shows(f"emostream_committed_posts_total {sent}.0")
                    await stored(http, base, consumer, monitor)
                await stage.windows_until(late_windows(start))
                # Put every five seconds, so maybe not since the first event came.
                await monitor.shows("\nemostream_monitor_watermark_age_seconds ")
                at = await stored(http, base, consumer, monitor)
                answers = {
                    query: await ask(http, base, filled(query.expr, interval="5m"), at)
                    for query in queries()
                }
                async with http.get(f"{base}/api/v1/rules") as response:
                    rules = (await response.json())["data"]["groups"][0]["rules"]
                lag = await ask(http, base, "sum(emostream_lag_posts)", at)
                dead = await ask(http, base, "sum(emostream_dead_letters_total)", at)
    empty = {query for query, found in answers.items() if not has_value(found)}
    assert [query for query in empty if not may_be_empty(query)] == []
    assert {rule["name"]: rule["health"] for rule in rules} == dict.fromkeys(
        [rule["name"] for rule in rules], "ok"
    )
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []
    assert (lag[0]["value"][1], dead[0]["value"][1]) == ("0", "2")
