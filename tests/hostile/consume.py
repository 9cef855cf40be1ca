"""Hostile records and hostile answers through the whole consumer: real process, real Kafka."""

import asyncio
import json
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import psutil

from consumer.analysis.event_ids import EventIds
from consumer.analysis.plan import make_plan
from consumer.settings import Tasks
from infra.kafka import create_topics, default_topics
from producer import Broker
from runtime.kafka.topic_log import kafka_topic_log
from tests.hostile.topics import MARK, PARTITIONS, Verdict, judge, send
from tests.process import Process, emostream
from tests.topics import topic_names

NAMES = topic_names("hostile")
GROUP = "hostile"
_LOOK_S = 0.5
_STUCK_S = 120.0
"""Without a commit that moves, for so long: a stuck partition."""


class Report(msgspec.Struct):
    """What a run found."""

    records: int
    verdict: Verdict
    replies: dict[str, int]
    """How often the model server sent each kind of reply."""
    took_s: float
    rss_mb: float
    """The consumer's peak."""
    exit_code: int | None

    @property
    def ok(self) -> bool:
        """Whether every promise was kept."""
        return not self.verdict.wrong and self.exit_code == 0

    def text(self) -> str:
        """For a person."""
        events = sum(n for (_, end), n in self.verdict.ended.items() if end == "event")
        dead_letters = sum(self.verdict.ended.values()) - events
        replies = ", ".join(
            f"{name} {n:,}" for name, n in sorted(self.replies.items(), key=lambda one: -one[1])
        )
        wrong = "".join(f"WRONG: {one}\n" for one in self.verdict.wrong[:20])
        return (
            f"{self.verdict.table()}\n"
            f"records {self.records:,}: events {events:,}, dead letters {dead_letters:,}, "
            f"neither or both {sum(one.endswith('times') for one in self.verdict.wrong)}, "
            f"uncommitted {self.verdict.uncommitted}, promises broken {len(self.verdict.wrong)}\n"
            f"{self.took_s:.0f} s; the consumer's peak RSS {self.rss_mb:.0f} MB, "
            f"exit {self.exit_code}\n"
            f"the model server replied: {replies}\n{wrong}"
        )


async def run(bootstrap: str, records: int, seed: int, say: Callable[[str], None]) -> Report:
    """Send, consume to the end, stop, and judge. Nothing is left running, and no file."""
    folder = Path(tempfile.mkdtemp(prefix="emostream-hostile-"))
    # Kept, however old a record says it is: the verdict reads all of them again.
    specs = [
        replace(spec, config={**spec.config, "retention.ms": "-1"})
        for spec in default_topics(NAMES, partitions=PARTITIONS, replication_factor=1)
    ]
    await create_topics({"bootstrap_servers": bootstrap}, specs)
    log = folder / "consumer.log"
    async with Process(sys.executable, "-m", "tests.hostile.model_server") as server:
        url = await server.wait_for_line("http://")
        sent = await send(bootstrap, NAMES.posts, records, seed)
        say(f"{len(sent):,} records sent; logs in {folder}")
        began = time.monotonic()
        config = _config(folder, bootstrap, url)
        async with emostream("consume", "--config", str(config), log=log) as consumer:
            rss_mb = await _consumed(consumer, bootstrap, records, say)
            took_s = time.monotonic() - began
            exit_code = await consumer.stop()
        replies = await asyncio.to_thread(_replies, url)
    signature = make_plan(Tasks(), ()).signature
    verdict = await judge(
        bootstrap, NAMES, GROUP, sent, event_ids=EventIds(signature, cluster_id="c")
    )
    verdict.wrong += _log_faults(log.read_text(encoding="utf-8"))
    report = Report(records, verdict, replies, took_s, rss_mb, exit_code)
    if report.ok:  # else its logs are worth a look
        shutil.rmtree(folder)
    return report


def _config(folder: Path, bootstrap: str, url: str) -> Path:
    path = folder / "emostream.toml"
    path.write_text(
        f"""
kafka = {{ bootstrap = "{bootstrap}", cluster_id = "c" }}
input = {{ topics = ["{NAMES.posts}"], group_id = "{GROUP}" }}
output = {{ events_topic = "{NAMES.events}", dlq_topic = "{NAMES.dead_letters}" }}
model.servers = ["{url}"]
http.port = 0
log = {{ format = "json", level = "debug" }}
""",
        encoding="utf-8",
    )
    return path


def _replies(url: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{url}/replies", timeout=10) as response:
        replies: dict[str, int] = json.load(response)
    return replies


async def _consumed(
    consumer: Process, bootstrap: str, records: int, say: Callable[[str], None]
) -> float:
    """Wait until everything is committed, the consumer ends, or a partition is stuck."""
    peak, behind, moved, reported = 0.0, records, time.monotonic(), time.monotonic()
    process = psutil.Process(consumer.pid)
    async with kafka_topic_log(NAMES.posts, Broker(bootstrap=bootstrap), group=GROUP) as log:
        while behind and consumer.status is None:
            await asyncio.sleep(_LOOK_S)
            now = time.monotonic()
            if consumer.status is None:
                peak = max(peak, process.memory_info().rss / 1e6)
            left = sum(span.end - span.start for span in (await log.spans()).values())
            if left != behind:
                behind, moved = left, now
            if now - moved > _STUCK_S:
                break
            if now - reported > 15:
                reported = now
                say(f"{records - behind:,} of {records:,} records committed, {peak:.0f} MB")
    return peak


def _log_faults(log: str) -> list[str]:
    words = ("Traceback", "this is a bug", '"event": "failed"', '"exception"')
    found = [f"the log says {one}" for one in words if one in log]
    return [*found, "the log holds a post's words"] if MARK in log else found
