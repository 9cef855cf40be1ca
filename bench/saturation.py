"""Parts 2 and 3: how much of a model server's capacity is used, and what the pipeline adds.

A server of 800 prompts/s at 60 ms each (48 at once, TGI's default of 128 accepted). With a backlog,
the share of that capacity over a minute, by the server's own count. At half of it, the time from a
post's place in Kafka's log to its event's, both by the broker's clock (LogAppendTime, whole
milliseconds), less the server's 60 ms: fetch, batch, queue, read, publish. With faults: two such
servers, and what they could have answered while they were there.
"""

import asyncio
import time
from pathlib import Path
from statistics import quantiles

import msgspec

from bench.model.server import ModelServer, Serving, Stats
from bench.options import Options
from bench.peers.race import ASKED
from bench.process import MeasuredProcess
from bench.report import Goal, Part, say
from bench.stage import POSTS, Stage, consumer_env, dead_letters_of, open_stage, records
from schemas import AffectEvent

CAPACITY, LATENCY_S = 800.0, 0.06
PROMPTS_A_POST = 3
_SETTINGS = (
    "emostream: defaults, tasks.v_oc = ask, ei_reg = false, ei_oc = off: three prompts a post."
)
_RAMP_S = 5.0
"""From the first answers on: the limit finds the server's edge in a second or two."""
_SHARE_424 = _SHARE_429 = 0.05
_AWAY_S = 10.0
_LOOK_S = 0.05


async def saturation(options: Options, folder: Path) -> Part:
    """One server: all of it with a backlog, and half of it for the latency."""
    seconds = options.pick(quick=10.0, full=60.0)
    async with open_stage() as stage:
        with ModelServer(Serving(capacity=CAPACITY, latency_s=LATENCY_S)) as server:
            full = await _backlog(stage, [server], seconds, folder, "saturation")
        share = full.answered / (CAPACITY * full.seconds)
        with ModelServer(Serving(capacity=CAPACITY, latency_s=LATENCY_S)) as server:
            added_ms, took_ms = await _half(stage, server, seconds, folder)
    cuts = quantiles(added_ms, n=100, method="inclusive")
    p50, p99 = cuts[49], cuts[98]
    say(f"saturation: added latency p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    return Part(
        name="saturation",
        title=f"a server of {CAPACITY:g} prompts/s at {LATENCY_S * 1000:g} ms, {seconds:g} s each",
        settings=_SETTINGS + " Latency: broker's time of event less broker's time of post"
        f" less {LATENCY_S * 1000:g} ms.",
        columns=("load", "prompts/s", "of capacity", "added p50 ms", "added p99 ms"),
        rows=(
            ("backlog", f"{full.answered / full.seconds:.1f}", f"{share:.1%}", "", ""),
            ("half", f"{CAPACITY / 2:.1f}", "50.0%", f"{p50:.1f}", f"{p99:.1f}"),
        ),
        goals=(
            Goal(what="of capacity, with a backlog", figure=100 * share, bound=98, unit=" %"),
            Goal(what="added at half load, p50", figure=p50, bound=10, unit=" ms", at_least=False),
        ),
        details={
            "backlog": msgspec.to_builtins(full),
            "half": {
                "posts": len(added_ms),
                "added_ms": {"p50": p50, "p90": cuts[89], "p99": p99, "max": max(added_ms)},
                "server_took_ms": took_ms,
            },
        },
    )


async def faults(options: Options, folder: Path) -> Part:
    """Two servers, a tenth of their answers failing, one of them gone for a while."""
    seconds = options.pick(quick=30.0, full=60.0)
    servings = [
        Serving(
            capacity=CAPACITY,
            latency_s=LATENCY_S,
            share_424=_SHARE_424,
            share_429=_SHARE_429,
            seed=seed,
        )
        for seed in (1, 2)
    ]
    async with open_stage() as stage:
        with ModelServer(servings[0]) as one, ModelServer(servings[1]) as two:
            full = await _backlog(stage, [one, two], seconds, folder, "faults", away_s=_AWAY_S)
    left = CAPACITY * full.up_s - full.failed_424
    share = full.answered / left
    return Part(
        name="faults",
        title=f"two servers of {CAPACITY:g} prompts/s; {_SHARE_424:.0%} of answers 424, "
        f"{_SHARE_429:.0%} 429; one gone for {_AWAY_S:g} of {seconds:g} s",
        settings=_SETTINGS + " What is left: places in the servers while they were there, less"
        " those that a 424 took; a 429 takes none, as TGI's.",
        columns=("", "prompts", "a second"),
        rows=tuple(
            (name, f"{number:,.0f}", f"{number / full.seconds:,.1f}")
            for name, number in (
                ("could have been answered", left),
                ("answered", full.answered),
                ("failed with 424", full.failed_424),
                ("failed with 429", full.failed_429),
                ("refused, the server being full", full.refused),
                ("lost in the crash", full.abandoned),
            )
        ),
        goals=(Goal(what="of what is left", figure=100 * share, bound=95, unit=" %"),),
        details=msgspec.to_builtins(full),
    )


class _Window(msgspec.Struct, frozen=True, kw_only=True):
    """What the servers did together in the measured time."""

    seconds: float
    up_s: float
    """Summed over the servers."""
    answered: int
    failed_424: int
    failed_429: int
    refused: int
    abandoned: int
    each_second: list[int]
    """Prompts answered in each second."""
    consumer_cpu_ms: float
    """A post."""
    consumer_rss_mb: float


async def _backlog(
    stage: Stage,
    servers: list[ModelServer],
    seconds: float,
    folder: Path,
    name: str,
    *,
    away_s: float = 0.0,
) -> _Window:
    """Let a consumer work at more posts than it can do in the time."""
    prompts = CAPACITY * len(servers) * (seconds + 2 * _RAMP_S)
    posts, events = f"{POSTS}.{name}", f"events.{name}"
    count = int(prompts / PROMPTS_A_POST)
    await stage.make_topics(posts=posts, events=events)
    say(f"{name}: {count:,} posts into Kafka")
    await stage.send_posts(posts, count)
    urls = ",".join(server.url for server in servers)
    env = consumer_env(stage, posts=posts, events=events, servers=urls, settings=ASKED)
    consumer = MeasuredProcess(name, ("emostream", "consume"), env, folder)
    try:
        await _until_asked(servers, consumer)
        await asyncio.sleep(_RAMP_S)
        say(f"{name}: measuring for {seconds:g} s")
        window = await _watch(servers, consumer, seconds, away_s)
        if await stage.count(events) >= count:
            raise RuntimeError(f"{name}: the backlog of {count:,} posts was done too early")
        if dead_letters := await stage.count(dead_letters_of(events)):
            raise RuntimeError(f"{name}: {dead_letters} dead letters")
    finally:
        consumer.kill()  # it needn't finish the backlog
    say(f"{name}: {window.answered:,} prompts answered in {window.seconds:.1f} s")
    return window


async def _until_asked(servers: list[ModelServer], consumer: MeasuredProcess) -> None:
    """Wait for the first posts' prompts: the canary's at the start are fewer."""
    while min(server.stats().answered for server in servers) < 100:
        consumer.check()
        await asyncio.sleep(_LOOK_S)


async def _watch(
    servers: list[ModelServer], consumer: MeasuredProcess, seconds: float, away_s: float
) -> _Window:
    began, before = time.monotonic(), consumer.costs()
    first = [server.stats() for server in servers]
    each_second, last, gone = [], first, False
    for second in range(1, round(seconds) + 1):
        await asyncio.sleep(max(0.0, began + second - time.monotonic()))
        if away_s and not gone and second >= seconds / 3:
            gone = True
            await asyncio.to_thread(servers[-1].away, away_s)
        now = [_stats(server) or old for server, old in zip(servers, last, strict=True)]
        each_second.append(_sum(last, now, "answered"))
        last = now
    spent = consumer.costs()
    answered = _sum(first, last, "answered")
    return _Window(
        seconds=last[0].at_s - first[0].at_s,
        up_s=sum(b.up_s - a.up_s for a, b in zip(first, last, strict=True)),
        answered=answered,
        failed_424=_sum(first, last, "failed_424"),
        failed_429=_sum(first, last, "failed_429"),
        refused=_sum(first, last, "refused"),
        abandoned=_sum(first, last, "abandoned"),
        each_second=each_second,
        consumer_cpu_ms=(spent.cpu_s - before.cpu_s) * 1000 * PROMPTS_A_POST / answered,
        consumer_rss_mb=spent.rss_mb,
    )


def _stats(server: ModelServer) -> Stats | None:
    try:
        return server.stats()
    except OSError:  # away: its counters don't move
        return None


def _sum(first: list[Stats], last: list[Stats], field: str) -> int:
    return sum(getattr(b, field) - getattr(a, field) for a, b in zip(first, last, strict=True))


async def _half(
    stage: Stage, server: ModelServer, seconds: float, folder: Path
) -> tuple[list[float], float]:
    """Milliseconds added to each post at half load, and what the server itself took, mean."""
    posts, events = f"{POSTS}.half", "events.half"
    rate = CAPACITY / 2 / PROMPTS_A_POST
    await stage.make_topics(posts=posts, events=events)
    env = consumer_env(stage, posts=posts, events=events, servers=server.url, settings=ASKED)
    consumer = MeasuredProcess("half", ("emostream", "consume"), env, folder)
    try:
        await _until_ready(consumer)
        say(f"saturation: {rate:.1f} posts/s for {seconds + _RAMP_S:g} s")
        load = ["emostream", "produce", "load", "--bootstrap", stage.bootstrap, "--topic", posts]
        load += ["--rate", str(rate), "--seconds", str(seconds + _RAMP_S)]
        producer = MeasuredProcess("half-load", load, {}, folder)
        await asyncio.sleep(_RAMP_S)
        before = server.stats()
        await asyncio.to_thread(producer.wait)
        after = server.stats()
        while await stage.count(events) < (sent := await stage.count(posts)):
            consumer.check()
            await asyncio.sleep(_LOOK_S)
        added = await _latencies(stage, posts, events)
    finally:
        await consumer.stop()
    if not 0.9 < sent / (rate * (seconds + _RAMP_S)) < 1.1:
        raise RuntimeError(f"the load was {sent} posts, not {rate * (seconds + _RAMP_S):.0f}")
    took_s = (after.took_s - before.took_s) / (after.answered - before.answered)
    return added, took_s * 1000


async def _until_ready(consumer: MeasuredProcess) -> None:
    """Wait until it says that it is: the group has given it its partitions."""
    while b"emostream consumer is ready" not in consumer.log.read_bytes():
        consumer.check()
        await asyncio.sleep(_LOOK_S)


async def _latencies(stage: Stage, posts: str, events: str) -> list[float]:
    came: dict[str, int] = {}
    async for record in records(stage, posts):
        assert record.key is not None
        came[record.key.decode()] = record.timestamp_ms
    since = min(came.values()) + _RAMP_S * 1000
    decode = msgspec.json.Decoder(AffectEvent).decode
    added = []
    async for record in records(stage, events):
        posted = came[decode(record.value or b"").post_id]
        if posted >= since:
            added.append(record.timestamp_ms - posted - LATENCY_S * 1000)
    return added
