"""Half an hour at half of capacity, the group rebalancing every two minutes: is all flat?

    python -m bench.soak [--minutes 30] [--rebalance-every 120] [--svg var/soak.svg]
    python -m bench.soak --draw var/soak.jsonl     # judge and draw a finished run again
    make soak ARGS="--svg docs/images/soak.svg --page docs/evidence/soak.md"     # what is committed

Real Kafka (embedded), a stub model server of fixed capacity in a process of its own, one
`emostream consume` that lives all the time and is measured, and a second one that joins and leaves
in turns. Linux only: the process is read from /proc. Exit status: 0 when everything was flat and
each post has exactly its event, else 1.
"""

import argparse
import asyncio
import logging
import os
import shutil
import sys
import tempfile
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import structlog
from aiokafka.admin import AIOKafkaAdminClient

from bench.model.server import ModelServer, Serving
from bench.soak.ledger import Ledger
from bench.soak.log import Change, Counts, Rebalance, Record, Setup, Writer
from bench.soak.member import Member
from bench.soak.plot import draw
from bench.soak.table import table
from bench.soak.verdict import judge, warm_up_s
from consumer.telemetry import log_events
from emostream.reference import replaced
from infra.kafka import BrokerSettings, EmbeddedKafka, TopicNames, create_topics, default_topics
from producer import Broker, LoadSettings, Report, send_load
from runtime.kafka.topic_log import kafka_topic_log

_NAMES = TopicNames(posts="soak.posts", events="soak.events", dead_letters="soak.dlq")
_GROUP = "soak"
_PARTITIONS = 4
_SERVING = Serving(capacity=800, latency_s=0.06)
_PROMPTS = 3
"""A post: V-reg, V-oc and E-c, all asked."""
_SHARE = 0.5
"""Of the server's capacity."""
_BACKLOG = 4_000
"""Posts that wait when the measured process starts, half a minute's work beside the others: with it
the concurrency limit, and what depends on it, has its full size before anything is measured."""
_CACHE_S = 150
"""Answers that the cache takes for each second of the warm-up, so that it is full by then: each
second brings 200 at least. All texts differ: nothing is found in it."""
_SAMPLE_S = 5.0
_WINDOW_S = 30.0
"""Or a quarter of the time from rebalance to rebalance, where that is less."""
_CATCH_UP_S = 60.0
"""At the end, for the last posts; a rebalance may just be under way."""
_ALT = "Latency, memory, file descriptors, asyncio tasks and threads of a consumer over the run"


class Soak:
    """One run."""

    def __init__(self, setup: Setup, writer: Writer) -> None:
        self._setup = setup
        self._writer = writer
        self._ledger = Ledger(_NAMES)
        self._changes: list[Change] = []
        self._visitors: list[Member] = []
        self._assignor = ""
        self._began = time.monotonic()
        self._began_at = time.time()

    async def __call__(self, folder: Path) -> None:
        """Run it to its end; all that was seen is written."""
        setup = self._setup
        async with AsyncExitStack() as stack:
            kafka = EmbeddedKafka(BrokerSettings(data_dir=folder / "kafka"))
            self._bootstrap = await _start_kafka(stack, kafka)
            server = stack.enter_context(ModelServer(_SERVING))
            self._config = _configure(folder, self._bootstrap, server.url, setup.cache_entries)
            backlog = await self._send(LoadSettings(topic=_NAMES.posts, count=_BACKLOG, seed=3))
            measured = await Member.start(self._config, folder / "measured.log")
            stack.push_async_callback(measured.kill)
            stack.push_async_callback(self._end_visitors)
            await measured.ready()
            follow = asyncio.create_task(self._ledger.follow(self._bootstrap, _PARTITIONS))
            stack.callback(follow.cancel)
            self._began, self._began_at = time.monotonic(), time.time()
            enough = asyncio.Event()
            load = LoadSettings(topic=_NAMES.posts, rate=setup.posts_per_s, seed=4)
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(self._send(load, enough))
                tasks.create_task(self._sample(measured))
                tasks.create_task(self._visit(folder))
                await self._until(setup.minutes * 60)
                enough.set()
            await self._catch_up(follow)
            await self._end(measured, backlog.sent + sending.result().sent)

    async def _send(self, load: LoadSettings, stop: asyncio.Event | None = None) -> Report:
        return await send_load(load, Broker(bootstrap=self._bootstrap), stop=stop)

    async def _sample(self, measured: Member) -> None:
        """Look at the measured process, on the beat."""
        for beat in range(int(self._setup.minutes * 60 / _SAMPLE_S) + 1):
            await self._until(beat * _SAMPLE_S)
            sample = await measured.sample(self._now())
            self._writer.write(sample)
            if beat % 6 == 0:
                _say(
                    f"{sample.at_s / 60:5.1f} min: {sample.rss_mb:.1f} MB, {sample.fds} fds,"
                    f" {sample.tasks} tasks, {sample.threads} threads, lag {sample.lag},"
                    f" {len(self._ledger.events)} of {len(self._ledger.posts)} posts have events"
                )

    async def _visit(self, folder: Path) -> None:
        """Let the second member join and leave in turns, until the run ends."""
        every = self._setup.rebalance_every_s
        visitor: Member | None = None
        for turn in range(int(self._setup.minutes * 60 / every - 1e-9) + 1):
            await self._until(turn * every)
            change = Change(at_s=round(self._now(), 2), joins=visitor is None)
            self._changes.append(change)
            self._writer.write(change)
            if visitor is None:
                log = folder / f"visitor{len(self._visitors)}.log"
                visitor = await Member.start(self._config, log)
                self._visitors.append(visitor)
                await visitor.ready()
                self._assignor = self._assignor or await self._ask_assignor()
            else:
                await visitor.stop()
                visitor = None

    async def _catch_up(self, follow: "asyncio.Task[None]") -> None:
        """Give the last posts their time; what isn't done then is lost."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_CATCH_UP_S):
                await asyncio.sleep(2)  # the ledger has read the last posts by then
                while self._ledger.open:  # noqa: ASYNC110 - what has been read, looked at
                    await asyncio.sleep(0.5)
        if follow.done():
            follow.result()

    async def _end(self, measured: Member, sent: int) -> None:
        exits = [await visitor.stop() for visitor in self._visitors]
        exits.insert(0, await measured.stop())
        members = (measured, *self._visitors)
        ledger = self._ledger
        self._writer.write(
            *self._rebalances(measured),
            *ledger.windows(
                self._began_at * 1000,
                until_s=self._setup.minutes * 60,
                seconds=min(_WINDOW_S, self._setup.rebalance_every_s / 4),
            ),
            Counts(
                posts=len(ledger.posts),
                events=len(ledger.events),
                dead_letters=len(ledger.dead_letters),
                lost=ledger.open,
                redelivered=ledger.redelivered,
                other_ids=ledger.other_ids,
                uncommitted=await self._uncommitted(),
                not_written=sent - len(ledger.posts),
                assignor=self._assignor,
                exits=tuple(exits),
                tracebacks=sum(member.tracebacks() for member in members),
            ),
        )

    def _rebalances(self, measured: Member) -> list[Rebalance]:
        """Read from its log; the first assignment, before the first post, is none."""
        found: list[Rebalance] = []
        open_changes = list(self._changes)
        drains = measured.logged(log_events.PARTITIONS_REVOKED)
        assigned = measured.logged(log_events.PARTITIONS_ASSIGNED)
        next(assigned)
        for (revoked_at, drain), (at, fields) in zip(drains, assigned, strict=False):
            at_s = at - self._began_at
            change = None
            while open_changes and open_changes[0].at_s < at_s:
                change = open_changes.pop(0)
            pause_s = at - revoked_at + drain["seconds"]
            if change is not None and not change.joins:
                pause_s = at_s - change.at_s
            found.append(
                Rebalance(
                    at_s=round(at_s, 2),
                    began_s=round(at_s, 2) if change is None else change.at_s,
                    partitions=fields["partitions"],
                    drained_s=round(drain["seconds"], 3),
                    paused_s=round(pause_s, 3),
                    abandoned=drain["abandoned"],
                    planned=change is not None,
                )
            )
        return found

    async def _ask_assignor(self) -> str:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        await admin.start()
        try:
            (response,) = await admin.describe_consumer_groups([_GROUP])
            (group,) = response.to_object()["groups"]
            return f"{group['protocol']}, {len(group['members'])} members"
        finally:
            await admin.close()

    async def _uncommitted(self) -> int:
        broker = Broker(bootstrap=self._bootstrap)
        async with kafka_topic_log(_NAMES.posts, broker, group=_GROUP) as log:
            return sum(span.end - span.start for span in (await log.spans()).values())

    async def _end_visitors(self) -> None:
        for visitor in self._visitors:
            await visitor.kill()

    def _now(self) -> float:
        return time.monotonic() - self._began

    async def _until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, at_s - self._now()))


async def _start_kafka(stack: AsyncExitStack, kafka: EmbeddedKafka) -> str:
    """Start it with the topics; events carry the time at which the broker wrote them."""
    await stack.enter_async_context(kafka)
    specs = [
        replace(spec, config={**spec.config, "message.timestamp.type": "LogAppendTime"})
        if spec.name == _NAMES.events
        else spec
        for spec in default_topics(_NAMES, partitions=_PARTITIONS, replication_factor=1)
    ]
    await create_topics({"bootstrap_servers": kafka.bootstrap}, specs)
    return kafka.bootstrap


def _configure(folder: Path, bootstrap: str, server: str, cache_entries: int) -> Path:
    path = folder / "soak.toml"
    path.write_text(
        f"""
[kafka]
bootstrap = "{bootstrap}"

[input]
topics = ["{_NAMES.posts}"]
group_id = "{_GROUP}"

[output]
events_topic = "{_NAMES.events}"
dlq_topic = "{_NAMES.dead_letters}"

[model]
servers = ["{server}"]
max_concurrency = 64

[tasks]
v_oc = "ask"
ei_reg = false
ei_oc = "off"

[cache]
max_entries = {cache_entries}

[http]
port = 0

[log]
format = "json"
""",
        encoding="utf-8",
    )
    return path


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _run(options: argparse.Namespace) -> tuple[Record, Path]:
    setup = Setup(
        began=datetime.now(UTC).isoformat(timespec="seconds"),
        minutes=options.minutes,
        rebalance_every_s=options.rebalance_every,
        posts_per_s=_SHARE * _SERVING.capacity / _PROMPTS,
        prompts_per_post=_PROMPTS,
        capacity=_SERVING.capacity,
        latency_s=_SERVING.latency_s,
        backlog=_BACKLOG,
        cache_entries=int(_CACHE_S * warm_up_s(options.minutes * 60)),
        partitions=_PARTITIONS,
        cpus=len(os.sched_getaffinity(0)),
    )
    folder = Path(tempfile.mkdtemp(prefix="emostream-soak-"))
    _say(f"{options.minutes:g} minutes, in {folder}")
    writer = Writer(options.jsonl)
    try:
        writer.write(setup)
        asyncio.run(Soak(setup, writer)(folder))
    finally:
        writer.close()
    return Record(writer.lines), folder


def main() -> int:
    """Run, judge, draw; 0 when flat."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rebalance-every", type=float, default=120.0, help="seconds")
    parser.add_argument("--jsonl", type=Path, default=Path("var/soak.jsonl"), help="every sample")
    parser.add_argument("--svg", type=Path, default=Path("var/soak.svg"), help="the picture")
    parser.add_argument("--draw", type=Path, help="a finished run's file: judge and draw it again")
    parser.add_argument("--page", type=Path, help="page whose block `soak` becomes the table")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))

    record, folder = (Record.read(options.draw), None) if options.draw else _run(options)
    verdict = judge(record)
    draw(record, verdict, options.svg)
    sys.stdout.write(table(record, verdict))
    if options.page is not None:
        picture = os.path.relpath(options.svg, options.page.parent)
        text = f"![{_ALT}]({picture})\n\n{table(record, verdict)}"
        page = options.page.read_text(encoding="utf-8")
        options.page.write_text(replaced(page, "soak", text), encoding="utf-8")
    if verdict.broken:
        return 1
    if folder is not None:  # else its logs and topics are worth a look
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
