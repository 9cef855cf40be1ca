"""Part 4: a backlog to its end, under a memory limit.

200,000 posts of 4 KB wait on the topic when the consumer starts; the model server answers at once,
so that Kafka, memory and the consumer itself are what is tried. At the end every post has exactly
one event, by the sets of their ids, and all are committed.
"""

import asyncio
import time
from pathlib import Path

import msgspec

from bench.flames import Flames
from bench.model.server import ModelServer
from bench.options import Options
from bench.process import MeasuredProcess
from bench.report import Goal, Part, say
from bench.stage import POSTS, Stage, consumer_env, dead_letters_of, open_stage, records

_TEXT_CHARS = 4_000
_LIMIT_MB = 256
"""RLIMIT_DATA: all private writable memory, whether touched or not: heap, arenas, threads' stacks.
About 10 MB more than is resident; above the bound, so that a miss is reported and doesn't crash."""
_RSS_BOUND_MB = 200
_LOOK_S = 0.5
_TELL_S = 20.0
_STUCK_S = 60.0


class _PostId(msgspec.Struct):
    post_id: str


async def backlog(options: Options, folder: Path) -> Part:
    """Let a consumer with default settings work it off."""
    posts, events = options.pick(quick=10_000, full=200_000), "events.backlog"
    async with open_stage() as stage:
        await stage.make_topics(posts=POSTS, events=events)
        say(f"backlog: {posts:,} posts of {_TEXT_CHARS:,} characters into Kafka")
        await stage.send_long_posts(POSTS, posts, chars=_TEXT_CHARS)
        with ModelServer() as server:
            env = consumer_env(stage, posts=POSTS, events=events, servers=server.url, settings={})
            consumer = MeasuredProcess(
                "backlog", ("emostream", "consume"), env, folder, data_limit_mb=_LIMIT_MB
            )
            flames = next(Flames.of(options.profile, "backlog", kinds=("raw",)), None)
            try:
                if flames:
                    flames.start(consumer.pid)
                took_s, samples = await _work_off(stage, consumer, events, posts)
                costs = consumer.costs()
                if flames:
                    await flames.end()
            finally:
                status = await consumer.stop()
            prompts = server.stats().answered
        distinct = await _distinct(stage, events)
        written, dead_letters = (
            await stage.count(events),
            await stage.count(dead_letters_of(events)),
        )
    if status != 0 or (written, distinct, dead_letters) != (posts, posts, 0):
        raise RuntimeError(
            f"backlog: {written} events of {distinct} posts, {dead_letters} dead letters, "
            f"of {posts} posts; exit status {status}"
        )
    return Part(
        name="backlog",
        title=f"{posts:,} posts of {_TEXT_CHARS:,} characters to the end, a server that answers"
        " at once",
        settings=f"emostream: defaults, RLIMIT_DATA {_LIMIT_MB} MB (all private writable memory).",
        columns=("", "figure"),
        rows=(
            ("posts/s", f"{posts / took_s:,.0f}"),
            ("prompts a post", f"{prompts / posts:.2f}"),
            ("CPU ms a post, start included", f"{costs.cpu_s / posts * 1000:.3f}"),
            ("peak RSS MB", f"{costs.rss_mb:.0f}"),
            ("peak private writable MB", f"{max(s[2] for s in samples):.0f}"),
            ("events, each of another post", f"{distinct:,}"),
            ("dead letters", f"{dead_letters}"),
        ),
        goals=(
            Goal(
                what="peak RSS",
                figure=costs.rss_mb,
                bound=_RSS_BOUND_MB,
                unit=" MB",
                at_least=False,
            ),
        ),
        details={
            "posts": posts,
            "seconds": took_s,
            "cpu_s": costs.cpu_s,
            "rss_mb": costs.rss_mb,
            "samples": [
                dict(zip(("second", "events", "data_mb", "peak_rss_mb"), s, strict=True))
                for s in samples
            ],
        },
    )


async def _work_off(
    stage: Stage, consumer: MeasuredProcess, events: str, posts: int
) -> tuple[float, list[tuple[float, int, float, float]]]:
    """Wait for all events and their commit; seconds from the first event, and how memory went."""
    began = moved = reported = time.monotonic()
    samples, count = [], 0
    while True:
        before, count = count, await stage.count(events)
        now, costs = time.monotonic(), consumer.costs()
        if not before:
            began = now
        if count > before:
            moved = now
            samples.append((round(now - began, 1), count, costs.data_mb, costs.rss_mb))
        if count >= posts and await stage.committed(f"group.{events}") >= posts:
            return moved - began, samples
        if now - moved > _STUCK_S:
            raise RuntimeError(f"backlog: no event for {_STUCK_S:g} s, after {count:,}")
        if now - reported > _TELL_S:
            reported = now
            say(f"backlog: {count:,} events, peak RSS {costs.rss_mb:.0f} MB")
        await asyncio.sleep(_LOOK_S)


async def _distinct(stage: Stage, events: str) -> int:
    decode = msgspec.json.Decoder(_PostId).decode
    return len({decode(record.value or b"").post_id async for record in records(stage, events)})
