"""The whole consumer in simulated time: the real service, analysis and pool; Kafka in memory."""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from consumer.analysis.analyzer import Analyzer
from consumer.analysis.asked_model import AskedModel
from consumer.analysis.cache import AnswerCache
from consumer.analysis.case import Answer
from consumer.analysis.decoder import Decoder
from consumer.analysis.event import EventBuilder
from consumer.analysis.event_ids import EventIds
from consumer.analysis.identifiers import Identifiers
from consumer.analysis.kept_pool import KeptPool
from consumer.analysis.plan import make_plan
from consumer.analysis.second_opinion import NullOpinionObserver, SecondOpinion
from consumer.delivery.service import Service
from consumer.options import ServiceLimits
from consumer.records import Record
from consumer.settings import Second, Tasks
from consumer.telemetry.health import Health
from consumer.telemetry.meter import Meter
from consumer.telemetry.observer import NullObserver
from emollm.errors import ModelError, Unavailable
from emollm.pool import Pool, PoolObserver, PoolOptions
from emollm.prompts import PromptBuilder
from emollm.protocol import Generation, ServerInfo
from runtime.kafka.options import KafkaOptions
from runtime.kafka.protocol import Partition
from tests.emollm.pool.fakes import FakeServer, Reply
from tests.emollm.pool.simulation import LoopClock
from tests.runtime.kafka.fake_kafka import FakeKafka

INFO = ServerInfo(
    dialect="tgi", model_id="emostream-small", model_revision="r1", max_concurrent_requests=128
)
OPTIONS = KafkaOptions(bootstrap="fake:9092", group_id="emostream", input_topics=("posts",))
GONE = Unavailable("connection refused", unsent=True)
"""What a server answers that isn't there."""
STUCK_AFTER_S = 120.0
"""The default of `http.stuck_after_s`."""
PLAN = make_plan(Tasks())
BUILDER = PromptBuilder(PLAN.tasks)
_SAID = {"V-reg": "0.879", "E-c": "joy, optimism.", "EI-reg": "0.6"}
_MARK = "\0"


def _prefixes() -> dict[str, str]:
    empty = BUILDER.prepare(_MARK)
    prompts = [
        BUILDER.build(task, empty, emotion, wording)
        for task in PLAN.tasks
        for emotion in task.emotions or (None,)
        for wording in range(len(task.wordings))
    ]
    return {prompt.text.split(empty.text)[0]: _SAID[prompt.task] for prompt in prompts}


_PREFIXES = _prefixes()


def readable(prompt: str) -> Generation:
    """What a sound model says to a prompt of any task."""
    said = next((said for start, said in _PREFIXES.items() if prompt.startswith(start)), "fine")
    return Generation(text=said)


class Outcomes(NullObserver):
    """When events and dead letters were acknowledged, on the loop's clock."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.ages: list[float] = []
        """Seconds from a post's record to its event."""
        self.dead_letters: list[str] = []

    def events_published(self, records: Sequence[Record], now: float) -> None:
        self.at += [asyncio.get_running_loop().time()] * len(records)
        self.ages += [now - record.timestamp_ms / 1000 for record in records]

    def dead_letter(self, stage: str, class_name: str) -> None:
        self.dead_letters.append(class_name)

    def longest_gap_s(self, until: float) -> float:
        """Of the time in which no event came, from the first one on."""
        times = [*self.at, until]
        return max(later - earlier for earlier, later in itertools.pairwise(times))


class Opinions(NullOpinionObserver):
    """What the second opinion tells."""

    def __init__(self) -> None:
        self.missing: Counter[str] = Counter()
        self.shares: list[float] = []
        self.shed_posts = 0

    def second_missing(self, reason: str) -> None:
        self.missing[reason] += 1

    def shed(self) -> None:
        self.shed_posts += 1

    def shed_share(self, share: float) -> None:
        self.shares.append(share)


class Consumer:
    """One consumer under way."""

    def __init__(
        self,
        kafka: FakeKafka,
        service: Service,
        pool: Pool,
        *,
        meter: Meter,
        seen: Outcomes,
        told: Opinions,
    ) -> None:
        self.kafka = kafka
        self.pool = pool
        self.seen = seen
        self.told = told
        self.health = Health(
            stuck_after_s=STUCK_AFTER_S, meter=meter, monotonic=LoopClock().monotonic
        )
        self.health.snapshot = service.snapshot
        self.health.servers = pool.servers
        self.not_alive: list[str] = []
        self._number = 0

    def opinions(self) -> list[str | None]:
        """Whose reading each event is, in the order in which they were written."""
        written = sorted(
            (json.loads(value or b"{}") for value in self.kafka.values("affect.events")),
            key=lambda event: event["processed_at"],
        )
        return [event.get("opinion") for event in written]

    async def posts(
        self,
        count: int,
        *,
        per_s: float,
        text: Callable[[int], str] = "Number {}.".format,
        partition: int = 0,
    ) -> None:
        """Write so many posts at this rate; look at `/livez` between them."""
        for number in range(count):
            post = {"id": f"p{self._number}", "text": text(number)}
            self._number += 1
            self.kafka.logs[Partition("posts", partition)].append(
                None, json.dumps(post).encode(), timestamp_ms=int(LoopClock().wall() * 1000)
            )
            self.kafka.wake()
            self.not_alive += self.health.not_alive()
            await asyncio.sleep(1.0 / per_s)

    async def wait(self, seconds: int) -> None:
        """Let time pass; look at `/livez` each second."""
        for _ in range(seconds):
            self.not_alive += self.health.not_alive()
            await asyncio.sleep(1.0)

    async def finished(self, posts: int, within_s: float = 120.0) -> None:
        """Wait until so many have their outcome."""
        async with asyncio.timeout(within_s):
            while len(self.seen.at) + len(self.seen.dead_letters) < posts:
                self.not_alive += self.health.not_alive()
                await asyncio.sleep(0.1)


def server(
    reply: Reply = readable,
    *,
    url: str = "http://gpu",
    latency_s: float = 0.4,
    at_once: int = 128,
    model: str = "emostream-small",
) -> FakeServer:
    info = msgspec.structs.replace(INFO, max_concurrent_requests=at_once, model_id=model)
    return FakeServer(reply, url=url, info=info, latency_s=latency_s)


def unless(said: dict[str, Generation | ModelError]) -> Reply:
    """A server that answers so where a post holds one of these words."""

    def reply(prompt: str) -> Generation | ModelError:
        return next((answer for word, answer in said.items() if word in prompt), readable(prompt))

    return reply


def _pool(
    servers: Sequence[FakeServer],
    timeout_s: float,
    rand: Callable[[], float] = lambda: 0.5,
    observer: PoolObserver | None = None,
) -> Pool:
    return Pool(
        [(one.url, one.connect) for one in servers],
        PoolOptions(timeout_s=timeout_s),
        clock=LoopClock(),
        rand=rand,
        observer=observer,
    )


class Assembled(NamedTuple):
    """A service with all that it stands on; nothing runs yet."""

    service: Service
    analyzer: Analyzer
    pool: Pool
    kept: KeptPool


def assembled(
    kafka: FakeKafka,
    *servers: FakeServer,
    timeout_s: float = 30.0,
    rand: Callable[[], float] = lambda: 0.5,
    second: Sequence[FakeServer] = (),
    second_options: Second | None = None,
    kafka_options: KafkaOptions = OPTIONS,
    limits: ServiceLimits | None = None,
    seen: Outcomes | None = None,
    told: Opinions | None = None,
    meter: Meter | None = None,
) -> Assembled:
    """One member of the group, as the program puts it together."""
    clock = LoopClock()
    pool = _pool(servers, timeout_s, rand, meter)
    cache = AnswerCache[Answer](max_entries=1_000)
    kept = KeptPool(lambda: _pool(second, Second().timeout_s), clock=clock)
    opinion = SecondOpinion(
        AskedModel(kept, lambda _: BUILDER, cache, role="second"),
        second_options or Second(),
        observer=told,
        clock=clock,
    )
    analyzer = Analyzer(
        model=AskedModel(pool, lambda _: BUILDER, cache),
        plan=PLAN,
        decoder=Decoder(),
        events=EventBuilder(
            ids=EventIds(PLAN.signature), identifiers=Identifiers(""), include_text=True
        ),
        second=opinion if second else None,
        now=lambda: datetime.fromtimestamp(clock.wall(), UTC),
    )
    service = Service(
        kafka_options,
        analyzer,
        limits=limits,
        observer=seen,
        clock=clock,
        brokers=kafka.brokers(kafka_options),
    )
    return Assembled(service, analyzer, pool, kept)


@asynccontextmanager
async def consuming(
    *servers: FakeServer,
    timeout_s: float = 30.0,
    rand: Callable[[], float] = lambda: 0.5,
    second: Sequence[FakeServer] = (),
    options: Second | None = None,
) -> AsyncIterator[Consumer]:
    """A consumer of `posts` with these model servers; stopped at the end."""
    clock, seen, told = LoopClock(), Outcomes(), Opinions()
    kafka = FakeKafka({"posts": 2, "affect.events": 2, "affect.dlq": 1}, clock)
    meter = Meter(clock.monotonic)
    service, analyzer, pool, kept = assembled(
        kafka,
        *servers,
        timeout_s=timeout_s,
        rand=rand,
        second=second,
        second_options=options,
        seen=seen,
        told=told,
        meter=meter,
    )
    beside = [asyncio.ensure_future(kept.run()), asyncio.ensure_future(analyzer.watch())]
    if not second:
        beside.pop(0).cancel()
    starting = asyncio.ensure_future(pool.start())
    await (analyzer.wait_available() if servers[0].information is GONE else starting)
    if second:
        await kept.wait_available()
    running = asyncio.ensure_future(service.run(signals=False))
    try:
        consumer = Consumer(kafka, service, pool, meter=meter, seen=seen, told=told)
        consumer.health.second = analyzer.second_problems
        yield consumer
        assert not running.done(), f"it ended: {service.error!r}"
        assert not any(task.done() for task in beside if second)
    finally:
        service.stop()
        await running
        for task in (*beside, starting):
            task.cancel()
        await asyncio.gather(*beside, starting, return_exceptions=True)
        await pool.aclose()
