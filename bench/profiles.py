"""Part 5: the whole profile of a post, every question asked, and with `derive` and `cascade`.

The cascade asks what E-c's answer calls for, so the answers must be a model's: the small model that
ships reads the demo's tweets once, all eleven questions of each (kept in var/bench/), and the stub
gives its answers.
"""

import asyncio
import hashlib
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.model.server import ROOT, ModelServer, Serving
from bench.options import Options
from bench.process import MeasuredProcess
from bench.report import Goal, Part, say
from bench.stage import POSTS, Stage, consumer_env, dead_letters_of, open_stage
from consumer.analysis.model import make_builder
from consumer.settings import Model
from emollm.clients import ServerOptions
from emollm.pool import open_pool
from emollm.protocol import Prompt
from emollm.tasks import TASKS
from producer import Broker, TweetsSettings, fetch_tweets, read_tweets, sample, send_tweets
from schemas import Post

CAPACITY, LATENCY_S = 800.0, 0.06
_MODEL = "emostream-small"
_SEED = 7
_WAVE = 512
_ASK = {"tasks.v_oc": "ask", "tasks.ei_oc": "ask", "tasks.ei_emotions": "all"}
_HOW = {"every question asked": _ASK, "derive + cascade (default)": {}}
_CANARY = 20
"""More prompts than the canary asks at the start."""
_LOOK_S = 0.02
_READY_S = 60.0
_WITHIN_S = 600.0


class _Rate(msgspec.Struct, frozen=True, kw_only=True):
    how: str
    posts_per_s: float
    prompts_a_post: float
    prompts_per_s: float
    made_up: int
    """Answers that the small model did not give: the canary's, and second askings."""


async def profiles(options: Options, folder: Path) -> Part:
    """Both ways on the same posts and the same server."""
    count = options.pick(quick=600, full=4_200)
    posts = sample(read_tweets(await fetch_tweets()), count, seed=_SEED)
    answers = await _answers(posts, folder)
    serving = Serving(capacity=CAPACITY, latency_s=LATENCY_S, model=_MODEL, answers=str(answers))
    rates = []
    async with open_stage() as stage:
        for number, (how, settings) in enumerate(_HOW.items()):
            topic, events = f"{POSTS}.{number}", f"events.profiles.{number}"
            await stage.make_topics(posts=topic, events=events)
            tweets = TweetsSettings(topic=topic, count=count, seed=_SEED)
            report = await send_tweets(tweets, Broker(bootstrap=stage.bootstrap))
            if report.failure or report.failed:
                raise RuntimeError(f"Kafka did not take all posts: {report.errors}")
            with ModelServer(serving) as server:
                env = consumer_env(
                    stage, posts=topic, events=events, servers=server.url, settings=settings
                )
                consumer = MeasuredProcess(events, ("emostream", "consume"), env, folder)
                try:
                    course = _Course(stage, server, consumer, events)
                    rate = await course.measure(how, count)
                finally:
                    await consumer.stop()
            say(f"profiles: {how}: {rate.posts_per_s:.1f} posts/s")
            rates.append(rate)
    every, derived = rates
    ratio = derived.posts_per_s / every.posts_per_s
    return Part(
        name="profiles",
        title=f"the whole profile of {count:,} tweets, one server of {CAPACITY:g} prompts/s",
        settings="emostream: v_oc = ask, ei_oc = ask, ei_emotions = all; and its defaults. The"
        " answers are the small model's.",
        columns=("", "posts/s", "prompts a post", "prompts/s"),
        rows=tuple(
            (r.how, f"{r.posts_per_s:.1f}", f"{r.prompts_a_post:.2f}", f"{r.prompts_per_s:.1f}")
            for r in rates
        ),
        goals=(Goal(what="posts/s with derive + cascade", figure=ratio, bound=3.2, unit=" x"),),
        details={"posts": count, "runs": [msgspec.to_builtins(rate) for rate in rates]},
    )


class _Course(NamedTuple):
    stage: Stage
    server: ModelServer
    consumer: MeasuredProcess
    events: str

    async def measure(self, how: str, count: int) -> _Rate:
        """From the first post's prompts to the last event."""
        while (before := self.server.stats()).asked < _CANARY:
            self.consumer.check()
            await asyncio.sleep(_LOOK_S)
        await self._until(count)
        after = self.server.stats()
        if dead_letters := await self.stage.count(dead_letters_of(self.events)):
            raise RuntimeError(f"profiles: {dead_letters} dead letters")
        took = after.at_s - before.at_s
        return _Rate(
            how=how,
            posts_per_s=count / took,
            prompts_a_post=after.answered / count,
            prompts_per_s=(after.answered - before.answered) / took,
            made_up=after.made_up,
        )

    async def _until(self, wanted: int) -> int:
        deadline = time.monotonic() + _WITHIN_S
        while (count := await self.stage.count(self.events)) < wanted:
            self.consumer.check()
            if time.monotonic() > deadline:
                raise RuntimeError(f"profiles: {count} of {wanted} events after {_WITHIN_S:g} s")
            await asyncio.sleep(_LOOK_S)
        return count


async def _answers(posts: list[Post], folder: Path) -> Path:
    """The file of the small model's answers to all questions; made where it isn't there."""
    process = MeasuredProcess("small-model", ("emostream", "serve", "--port", "0"), {}, folder)
    try:
        pool = await open_pool([ServerOptions(url=await _url(process))], wait_s=_READY_S)
        try:
            builder = make_builder(Model(), pool.info, tuple(TASKS.values()))
            prompts: list[Prompt] = []
            for post in posts:
                text = builder.prepare(post.text)
                for task in TASKS.values():
                    prompts += [builder.build(task, text, e) for e in task.emotions or (None,)]
            path = _path(prompts, pool.info.model_revision)
            if not path.exists():
                say(f"profiles: the small model reads {len(prompts):,} prompts, once for all")
                answers: dict[str, str] = {}
                for at in range(0, len(prompts), _WAVE):
                    wave = prompts[at : at + _WAVE]
                    for prompt, answer in zip(wave, await pool.ask(wave), strict=True):
                        if isinstance(answer, Exception):
                            raise answer
                        answers[prompt.text] = answer.text
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(msgspec.json.encode(answers))
        finally:
            await pool.aclose()
    finally:
        await process.stop()
    return path


async def _url(process: MeasuredProcess) -> str:
    """Where the small model's server listens: the first URL that it says."""
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        process.check()
        words = process.log.read_text(encoding="utf-8").split()
        for word in words:
            if word.startswith("http://"):
                return word
        await asyncio.sleep(_LOOK_S)
    raise RuntimeError("the small model's server did not become ready")


def _path(prompts: list[Prompt], revision: str | None) -> Path:
    digest = hashlib.sha256(repr(revision).encode())
    for prompt in prompts:
        digest.update(prompt.text.encode())
    return ROOT / "var" / "bench" / f"answers-{digest.hexdigest()[:16]}.json"
