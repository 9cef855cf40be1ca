"""Part 1: the cost of a post, beside consumers that others would write.

Same interpreter, same loop (uvloop), same topic, same instant model server, three prompts a post
(V-reg, V-oc, E-c), one event out, acks=all, lz4, commits on. Measured between a tenth and nine
tenths of the posts, so that neither a start nor an end counts; afterwards every post must have its
event, and the group must have committed them all.
"""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import msgspec

from bench.flames import Flames
from bench.model.server import ModelServer
from bench.options import Options
from bench.peers.work import Job
from bench.process import MeasuredProcess
from bench.report import Goal, Part, say
from bench.stage import POSTS, Stage, consumer_env, dead_letters_of, open_stage

OURS, FRAMEWORK = "emostream", "FastStream"
ASKED = {"tasks.v_oc": "ask", "tasks.ei_reg": "false", "tasks.ei_oc": "off"}
"""V-reg, V-oc and E-c, each asked: three prompts a post."""
_PEERS = {
    OURS: (),
    "aiokafka + aiohttp": ("bench.peers.loop", "aiohttp"),
    "aiokafka + pyreqwest": ("bench.peers.loop", "pyreqwest"),
    FRAMEWORK: ("bench.peers.framework", "workers"),
    "FastStream, batches": ("bench.peers.framework", "batch"),
}
_LOOK_S = 0.02
_WITHIN_S = 300.0
"""A run of seconds; past this something is stuck."""
_COMMIT_WITHIN_S = 20.0
"""FastStream's workers commit every five seconds."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One consumer's one run."""

    who: str
    posts_per_s: float
    cpu_ms: float
    """Milliseconds of processor a post."""
    rss_mb: float
    """Most it ever had resident."""


async def peers(options: Options, folder: Path) -> Part:
    """Run them by turns, and give the medians."""
    posts = options.pick(quick=4_000, full=20_000)
    runs: list[Run] = []
    async with open_stage() as stage:
        with ModelServer() as server:
            await stage.make_topics(posts=POSTS, events="warm-up")
            say(f"peers: {posts:,} posts into Kafka, once for all")
            await stage.send_posts(POSTS, posts)
            race = Race(stage, server, posts, folder)
            for number in range(options.rounds + 1):
                for who in _PEERS:
                    run = await race.run(who, str(number))
                    words = "warm-up" if number == 0 else f"round {number} of {options.rounds}"
                    say(
                        f"peers: {words}: {who}: {run.posts_per_s:,.0f} posts/s, "
                        f"{run.cpu_ms:.3f} ms of processor a post, {run.rss_mb:.0f} MB"
                    )
                    if number:
                        runs.append(run)
            for flames in Flames.of(options.profile, OURS, FRAMEWORK):
                say(f"peers: once more for a profile: {flames.who}, {flames.kind}")
                await race.run(flames.who, flames.kind, flames)
    return _part(runs, posts)


class Race:
    """The course that each of them runs, alone on it."""

    def __init__(self, stage: Stage, server: ModelServer, posts: int, folder: Path) -> None:
        self._stage = stage
        self._server = server
        self._posts = posts
        self._folder = folder

    async def run(
        self,
        who: str,
        number: str,
        flames: Flames | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> Run:
        """One consumer over all posts; `settings` are more of ours.

        Raises:
            RuntimeError: an event is missing in the end.
        """
        events = "events." + "".join(c if c.isalnum() else "-" for c in f"{who}-{number}")
        await self._stage.make_topics(posts=POSTS, events=events)
        process = self._start(who, events, settings or {})
        try:
            return await self._measure(who, process, events, flames)
        finally:
            await process.stop()

    def _start(self, who: str, events: str, settings: Mapping[str, str]) -> MeasuredProcess:
        stage, url = self._stage, self._server.url
        if who == OURS:
            ours = {**ASKED, **settings}
            env = consumer_env(stage, posts=POSTS, events=events, servers=url, settings=ours)
            return MeasuredProcess(events, ("emostream", "consume"), env, self._folder)
        job = Job(
            bootstrap=stage.bootstrap,
            posts=POSTS,
            events=events,
            group=f"group.{events}",
            url=url,
        )
        command = (*_PEERS[who], msgspec.json.encode(job).decode())
        return MeasuredProcess(events, command, {}, self._folder)

    async def _measure(
        self, who: str, process: MeasuredProcess, events: str, flames: Flames | None
    ) -> Run:
        stage, posts = self._stage, self._posts
        first = await _until(stage, process, events, posts // 10)
        if flames:
            flames.start(process.pid)
        began, before = time.monotonic(), process.costs()
        last = await _until(stage, process, events, posts - posts // 10)
        took, spent = time.monotonic() - began, process.costs().cpu_s - before.cpu_s
        if flames:
            await flames.end()
        await _until(stage, process, events, posts)
        await _until_committed(stage, process, f"group.{events}", posts)
        ends = await stage.count(events), await stage.count(dead_letters_of(events))
        if ends != (posts, 0):
            raise RuntimeError(f"{who}: {ends[0]} events, {ends[1]} dead letters of {posts} posts")
        return Run(
            who=who,
            posts_per_s=(last - first) / took,
            cpu_ms=spent / (last - first) * 1000,
            rss_mb=process.costs().rss_mb,
        )


async def _until(stage: Stage, process: MeasuredProcess, events: str, wanted: int) -> int:
    """Return as soon as there are so many events; how many there are."""
    deadline = time.monotonic() + _WITHIN_S
    while (count := await stage.count(events)) < wanted:
        process.check()
        if time.monotonic() > deadline:
            raise RuntimeError(f"{process.name}: {count} of {wanted} events after {_WITHIN_S:g} s")
        await asyncio.sleep(_LOOK_S)
    return count


async def _until_committed(stage: Stage, process: MeasuredProcess, group: str, wanted: int) -> None:
    deadline = time.monotonic() + _COMMIT_WITHIN_S
    while await stage.committed(group) < wanted:
        process.check()
        if time.monotonic() > deadline:
            raise RuntimeError(f"{process.name} did not commit all {wanted:,} posts")
        await asyncio.sleep(_LOOK_S)


def _part(runs: list[Run], posts: int) -> Part:
    def middle(who: str, field: str) -> float:
        return float(median(getattr(run, field) for run in runs if run.who == who))

    ours = middle(OURS, "cpu_ms")
    rows = []
    for who in _PEERS:
        cpu = middle(who, "cpu_ms")
        spread = [run.cpu_ms for run in runs if run.who == who]
        rows.append(
            (
                who,
                f"{middle(who, 'posts_per_s'):,.0f}",
                f"{cpu:.3f}",
                f"{min(spread):.3f} to {max(spread):.3f}",
                f"{ours / cpu:.2f}",
                f"{middle(who, 'rss_mb'):.0f}",
            )
        )
    ratio = ours / middle(FRAMEWORK, "cpu_ms")
    return Part(
        name="peers",
        title=f"{posts:,} posts of 120 characters, three prompts each, an instant model server",
        settings="emostream: defaults, tasks.v_oc = ask, ei_reg = false, ei_oc = off."
        " Medians of the rounds.",
        columns=(
            "consumer",
            "posts/s",
            "CPU ms a post",
            "least to most",
            "emostream's share",
            "peak RSS MB",
        ),
        rows=tuple(rows),
        goals=(Goal(what="CPU a post, of FastStream's", figure=ratio, bound=0.5, at_least=False),),
        details={"posts": posts, "runs": [msgspec.to_builtins(run) for run in runs]},
    )
