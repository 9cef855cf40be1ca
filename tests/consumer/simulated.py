"""The whole consumer in simulated time: the real service, analysis and pool; Kafka in memory."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from consumer.analysis.analyzer import Analyzer
from consumer.analysis.asked_model import AskedModel
from consumer.analysis.cache import AnswerCache
from consumer.analysis.case import Answer
from consumer.analysis.decoder import Decoder
from consumer.analysis.event import EventBuilder
from consumer.analysis.event_ids import EventIds
from consumer.analysis.identifiers import Identifiers
from consumer.analysis.plan import make_plan
from consumer.delivery.service import Service
from consumer.records import Record
from consumer.settings import Tasks
from consumer.telemetry.health import Health
from consumer.telemetry.observer import NullObserver
from emollm.errors import ModelError
from emollm.pool import Pool, PoolOptions
from emollm.prompts import PromptBuilder
from emollm.protocol import Generation, ServerInfo
from runtime.kafka.options import KafkaOptions
from tests.emollm.pool.fakes import FakeServer, Reply
from tests.emollm.pool.simulation import LoopClock
from tests.runtime.kafka.fake_kafka import FakeKafka

INFO = ServerInfo(
    dialect="tgi", model_id="emostream-small", model_revision="r1", max_concurrent_requests=128
)
OPTIONS = KafkaOptions(bootstrap="fake:9092", group_id="emostream", input_topics=("posts",))
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
        self.dead_letters: list[str] = []

    def events_published(self, records: Sequence[Record], now: float) -> None:
        self.at += [asyncio.get_running_loop().time()] * len(records)

    def dead_letter(self, stage: str, class_name: str) -> None:
        self.dead_letters.append(class_name)

    def longest_gap_s(self, until: float) -> float:
        """Of the time in which no event came, from the first one on."""
        times = [*self.at, until]
        return max(later - earlier for earlier, later in itertools.pairwise(times))


class Consumer:
    """One consumer under way."""

    def __init__(self, kafka: FakeKafka, service: Service, pool: Pool, seen: Outcomes) -> None:
        self.kafka = kafka
        self.pool = pool
        self.seen = seen
        self.health = Health(stuck_after_s=STUCK_AFTER_S, monotonic=LoopClock().monotonic)
        self.health.snapshot = service.snapshot
        self.not_alive: list[str] = []
        self._number = 0

    async def posts(
        self, count: int, *, per_s: float, text: Callable[[int], str] = "Number {}.".format
    ) -> None:
        """Write so many posts at this rate; look at `/livez` between them."""
        for number in range(count):
            post = {"id": f"p{self._number}", "text": text(number)}
            self._number += 1
            self.kafka.produce("posts", [json.dumps(post).encode()])
            self.not_alive += self.health.not_alive()
            await asyncio.sleep(1.0 / per_s)

    async def finished(self, posts: int, within_s: float = 120.0) -> None:
        """Wait until so many have their outcome."""
        async with asyncio.timeout(within_s):
            while len(self.seen.at) + len(self.seen.dead_letters) < posts:
                self.not_alive += self.health.not_alive()
                await asyncio.sleep(0.1)


def server(
    reply: Reply = readable, *, url: str = "http://gpu", latency_s: float = 0.4
) -> FakeServer:
    return FakeServer(reply, url=url, info=INFO, latency_s=latency_s)


def unless(said: dict[str, Generation | ModelError]) -> Reply:
    """A server that answers so where a post holds one of these words."""

    def reply(prompt: str) -> Generation | ModelError:
        return next((answer for word, answer in said.items() if word in prompt), readable(prompt))

    return reply


@asynccontextmanager
async def consuming(
    *servers: FakeServer, timeout_s: float = 30.0, rand: Callable[[], float] = lambda: 0.5
) -> AsyncIterator[Consumer]:
    """A consumer of `posts` with these model servers; stopped at the end."""
    clock, seen = LoopClock(), Outcomes()
    kafka = FakeKafka({"posts": 1, "affect.events": 2, "affect.dlq": 1}, clock)
    pool = Pool(
        [(one.url, one.connect) for one in servers],
        PoolOptions(timeout_s=timeout_s),
        clock=clock,
        rand=rand,
    )
    await pool.start()
    analyzer = Analyzer(
        model=AskedModel(pool, lambda _: BUILDER, AnswerCache[Answer](max_entries=1_000)),
        plan=PLAN,
        decoder=Decoder(),
        events=EventBuilder(
            ids=EventIds(PLAN.signature), identifiers=Identifiers(""), include_text=True
        ),
    )
    service = Service(OPTIONS, analyzer, observer=seen, clock=clock, brokers=kafka.brokers(OPTIONS))
    running = asyncio.ensure_future(service.run(signals=False))
    try:
        yield Consumer(kafka, service, pool, seen)
        assert not running.done(), f"it ended: {service.error!r}"
    finally:
        service.stop()
        await running
        await pool.aclose()
