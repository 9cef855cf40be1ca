"""Part 6: what exactly-once costs beside at-least-once, side by side.

The same posts, server and settings; only `delivery.guarantee` differs, by turns. A backlog with a
server that answers at once: posts/s and CPU a post between a tenth and nine tenths of what is
committed, so that Kafka and the consumer are what is tried. A steady load far below that: the time
from a post's place in Kafka's log to a reader of committed records, less the server's.
"""

import asyncio
import time
from pathlib import Path
from statistics import median, quantiles

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.model.server import ModelServer, Serving
from bench.options import Options
from bench.peers.race import ASKED
from bench.process import MeasuredProcess
from bench.report import Part, say
from bench.stage import PARTITIONS, POSTS, Stage, consumer_env, open_stage, records
from schemas import AffectEvent

_GUARANTEES = ("at-least-once", "exactly-once")
_RATE = 40.0
"""Posts a second: all of Bluesky at its peak."""
_LATENCY_S = 0.06
_RAMP_S = 3.0
_LOOK_S = 0.05


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of one guarantee."""

    posts_s: float
    cpu_us: float
    """A post, user and system."""
    p50_ms: float
    p99_ms: float


async def delivery(options: Options, folder: Path) -> Part:
    """Both, by turns."""
    rounds = options.pick(quick=1, full=min(3, options.rounds))
    turns: dict[str, list[Turn]] = {name: [] for name in _GUARANTEES}
    async with open_stage() as stage:
        for number in range(rounds):
            for name in _GUARANTEES:
                turns[name].append(await _turn(stage, name, number, options, folder))
    return Part(
        name="delivery",
        title=f"both guarantees on {PARTITIONS} partitions, median of {rounds} by turns",
        settings="emostream: defaults, three prompts a post. Latency: from the post in Kafka's log "
        f"to a reader of committed records at {_RATE:g} posts/s, less {_LATENCY_S * 1000:g} ms.",
        columns=("guarantee", "backlog, posts/s", "CPU a post, µs", "added p50 ms", "added p99 ms"),
        rows=tuple(
            (
                name,
                f"{median(one.posts_s for one in found):,.0f}",
                f"{median(one.cpu_us for one in found):.0f}",
                f"{median(one.p50_ms for one in found):.1f}",
                f"{median(one.p99_ms for one in found):.1f}",
            )
            for name, found in turns.items()
        ),
        goals=(),
        details={name: msgspec.to_builtins(found) for name, found in turns.items()},
    )


async def _turn(stage: Stage, guarantee: str, number: int, options: Options, folder: Path) -> Turn:
    name = f"{guarantee}.{number}"
    settings = {**ASKED, "delivery.guarantee": guarantee}
    posts_s, cpu_us = await _backlog(
        stage, name, settings, options.pick(quick=6_000, full=20_000), folder
    )
    added = await _steady(stage, name, settings, options.pick(quick=5.0, full=20.0), folder)
    cuts = quantiles(added, n=100, method="inclusive")
    say(f"{name}: {posts_s:,.0f} posts/s, {cpu_us:.0f} µs, p50 {cuts[49]:.1f} ms")
    return Turn(posts_s=posts_s, cpu_us=cpu_us, p50_ms=cuts[49], p99_ms=cuts[98])


async def _backlog(
    stage: Stage, name: str, settings: dict[str, str], count: int, folder: Path
) -> tuple[float, float]:
    posts, events = f"{POSTS}.{name}", f"events.{name}"
    await stage.make_topics(posts=posts, events=events)
    await stage.send_posts(posts, count)
    with ModelServer() as server:
        env = consumer_env(stage, posts=posts, events=events, servers=server.url, settings=settings)
        consumer = MeasuredProcess(name, ("emostream", "consume"), env, folder)
        try:
            group = f"group.{events}"
            await _committed(stage, consumer, group, count // 10)
            at, done, costs = time.monotonic(), await stage.committed(group), consumer.costs()
            await _committed(stage, consumer, group, count * 9 // 10)
            took, spent = time.monotonic() - at, consumer.costs()
            worked = await stage.committed(group) - done
        finally:
            await consumer.stop()
    return worked / took, (spent.cpu_s - costs.cpu_s) / worked * 1e6


async def _committed(stage: Stage, consumer: MeasuredProcess, group: str, count: int) -> None:
    while await stage.committed(group) < count:
        consumer.check()
        await asyncio.sleep(_LOOK_S)


async def _steady(
    stage: Stage, name: str, settings: dict[str, str], seconds: float, folder: Path
) -> list[float]:
    """Milliseconds added to each post."""
    posts, events = f"{POSTS}.{name}.steady", f"events.{name}.steady"
    await stage.make_topics(posts=posts, events=events)
    seen: dict[str, float] = {}
    with ModelServer(Serving(capacity=800.0, latency_s=_LATENCY_S)) as server:
        env = consumer_env(stage, posts=posts, events=events, servers=server.url, settings=settings)
        consumer = MeasuredProcess(f"{name}.steady", ("emostream", "consume"), env, folder)
        watching = asyncio.create_task(_watch(stage, events, seen))
        try:
            while b"emostream consumer is ready" not in consumer.log.read_bytes():
                consumer.check()
                await asyncio.sleep(_LOOK_S)
            load = ["emostream", "produce", "load", "--bootstrap", stage.bootstrap]
            load += ["--topic", posts, "--rate", str(_RATE), "--seconds", str(seconds + _RAMP_S)]
            producer = MeasuredProcess(f"{name}.load", load, {}, folder)
            await asyncio.to_thread(producer.wait)
            came = {
                (record.key or b"").decode(): record.timestamp_ms
                async for record in records(stage, posts)
            }
            while len(seen) < len(came):
                consumer.check()
                await asyncio.sleep(_LOOK_S)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await consumer.stop()
    since = min(came.values()) + _RAMP_S * 1000
    return [seen[id_] - at - _LATENCY_S * 1000 for id_, at in came.items() if at >= since]


async def _watch(stage: Stage, events: str, seen: dict[str, float]) -> None:
    """Note when a reader of committed records has each post's event, until cancelled."""
    decode = msgspec.json.Decoder(AffectEvent).decode
    reader = AIOKafkaConsumer(
        bootstrap_servers=stage.bootstrap,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
    )
    await reader.start()
    try:
        reader.assign([TopicPartition(events, number) for number in range(PARTITIONS)])
        while True:
            found = await reader.getmany(timeout_ms=1_000)
            now = time.time() * 1000
            for batch in found.values():
                for record in batch:
                    seen.setdefault(decode(record.value).post_id, now)
    finally:
        await reader.stop()
