"""Members of one group in bad weather, from Kafka's records to committed offsets.

Servers fail, brokers refuse, partitions move, members join, leave and are killed: no commit passes
a post without its outcome, and once the weather is fine everything is finished and committed.
"""

import asyncio
import json
import re
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from random import Random
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from consumer.analysis import inference
from consumer.analysis.case import Answer
from consumer.analysis.plan import Question
from consumer.dead_letters import Reason
from consumer.options import (
    BatchLimits,
    CommitPolicy,
    DrainBudget,
    FuseLimits,
    InFlightLimits,
    ServiceLimits,
)
from consumer.settings import Second
from emollm.errors import ModelError
from emollm.protocol import Generation, PoolAnswer
from runtime.kafka.errors import KafkaFault, ProducerLost, Unreachable
from runtime.kafka.options import REBALANCE_TIMEOUT_S, Guarantee
from runtime.kafka.protocol import Partition
from schemas.headers import ERRORS_PREFIX
from tests.consumer.simulated import OPTIONS, assembled, unless
from tests.emollm.pool.simulation import LoopClock, simulated
from tests.emollm.pool.weather import LOCKED_OUT, WEATHER, Server
from tests.runtime.kafka.fake_kafka import FakeConsumer, FakeKafka

GROUP = OPTIONS.group_id
POSTS = 300
STUMBLE = "stumble"
TEXT = re.compile(r"(Number|unreadable) \d+")
READ = inference._read
NOTICED_S = 40.0
"""Within this time a topic that was created again is known to be."""
TOPICS = {"posts": 3, "affect.events": 2, "affect.dlq": 1}
BANANA = unless({"unreadable": Generation(text="banana")})


class Stumbling:
    """What servers say. Our reader stumbles over some answers, of each text over one at most."""

    def __init__(self, draw: Random) -> None:
        self._draw = draw
        self._stumbled: set[str] = set()

    def __call__(self, prompt: str) -> Generation | ModelError:
        text = TEXT.search(prompt)
        if text is not None and text[0] not in self._stumbled and self._draw.random() < 0.03:
            self._stumbled.add(text[0])
            return Generation(text=STUMBLE)
        return BANANA(prompt)


def _read(question: Question, answer: PoolAnswer | ModelError) -> Answer:
    if isinstance(answer, PoolAnswer) and answer.text == STUMBLE:
        raise KeyError("a bug of ours")
    return READ(question, answer)


class Cluster(FakeKafka):
    """One that moves partitions once at a time, and looks at each commit."""

    def __init__(self) -> None:
        super().__init__(TOPICS, LoopClock())
        self._one_at_a_time = asyncio.Lock()
        self._moving: set[asyncio.Task[None]] = set()
        self._read: dict[Partition, int] = {}
        self._events: dict[bytes, bytes | None] = {}
        """Ids of events by their posts' ids."""
        self._dead: dict[bytes | None, bytes | None] = {}
        """Classes of dead letters by their posts."""
        self._checked: dict[Partition, int] = {}
        self._new_until = 0.0
        self.on_commit = self._look

    async def rebalance(self, group_id: str) -> None:
        """Whoever leaves doesn't wait for the others."""
        moving = asyncio.ensure_future(self._rebalance(group_id))
        self._moving.add(moving)
        moving.add_done_callback(self._moving.discard)

    async def _rebalance(self, group_id: str) -> None:
        async with self._one_at_a_time:
            group = self.groups[group_id]
            asked = tuple(group.members)
            async with asyncio.timeout(REBALANCE_TIMEOUT_S):  # or a broker would throw it out
                await asyncio.gather(*(member.revoke() for member in asked))
            group.generation += 1
            members = [member for member in asked if member in group.members]
            for number, member in enumerate(members):
                share = self.inputs()[number :: len(members)]
                if member in group.members:
                    await member.assign(frozenset(share), group.generation)

    async def kick(self, member: FakeConsumer, for_s: float) -> None:
        """Throw a member out, which notices so late."""
        group = self.groups[GROUP]
        if member not in group.members:
            return
        group.members.remove(member)
        member.kick()
        await self.rebalance(GROUP)
        await asyncio.sleep(for_s)
        if not member.stopped:
            group.members.append(member)
            await self.rebalance(GROUP)

    async def settled(self) -> None:
        """Wait until no partition moves."""
        while self._moving:
            await asyncio.wait(self._moving)

    def inputs(self) -> list[Partition]:
        return sorted(one for one in self.logs if one.topic == "posts")

    def create_again(self, topic: str) -> None:
        super().create_again(topic)
        self._checked.clear()
        self._new_until = self.clock.monotonic() + NOTICED_S

    def unsettled(self, partition: Partition, before: int) -> Iterator[int]:
        """Give offsets without an outcome."""
        self._read_outputs()
        for record in self.logs[partition].records:
            value = record.value
            if not self._checked.get(partition, 0) <= record.offset < before or value is None:
                continue
            if value not in self._dead and _id(value) not in self._events:
                yield record.offset

    def condemned(self) -> set[bytes | None]:
        """Give the posts of dead letters, but for those that our own bug may have cost."""
        self._read_outputs()
        return {post for post, name in self._dead.items() if name != Reason.BUG.encode()}

    def _look(self, partition: Partition, offset: int) -> None:
        if self.clock.monotonic() < self._new_until:
            return  # of the old topic, perhaps: whoever is given it next will know
        passed = list(self.unsettled(partition, offset))
        assert not passed, f"{partition} at {offset} passes {passed}"
        self._checked[partition] = max(offset, self._checked.get(partition, 0))

    def _read_outputs(self) -> None:
        for partition, log in self.logs.items():
            if partition.topic == "posts":
                continue
            for record in log.records[self._read.get(partition, 0) :]:
                headers = dict(record.headers)
                if partition.topic == "affect.dlq":
                    self._dead[record.value] = headers[f"{ERRORS_PREFIX}class.name"]
                    continue
                post, event = headers["ce_subject"] or b"", headers["ce_id"]
                assert self._events.setdefault(post, event) == event, "it is overwritten, not twice"
            self._read[partition] = len(log.records)


def _id(value: bytes) -> bytes:
    return str(json.loads(value)["id"]).encode() if value.startswith(b"{") else b""


def _limits(draw: Random) -> ServiceLimits:
    return ServiceLimits(
        batch=BatchLimits(
            max_posts=draw.choice([1, 4, 64]), max_concurrent_posts=draw.choice([1, 16, 512])
        ),
        in_flight=InFlightLimits(
            max_posts=draw.choice([5, 50, 4096]), max_window=draw.choice([5, 50, 10_000])
        ),
        drain=DrainBudget(revoke_s=draw.choice([0.1, 2.0, 20.0])),
        commit=CommitPolicy(every_records=draw.choice([1, 5_000])),
        fuse=FuseLimits(share=2.0),  # it never blows
    )


class Member:
    """One process."""

    def __init__(self, weather: "Weather", number: int) -> None:
        kafka, draw = weather.kafka, weather.draw
        self.servers = [
            Server(f"http://{name}{number}", draw, weather.say, model="emostream-small")
            for name in "ab"[: draw.choice([1, 2])]
        ]
        self._second = [Server("http://second", draw, BANANA)] if draw.random() < 0.5 else []
        self._parts = assembled(
            kafka,
            *self.servers,
            timeout_s=draw.choice([3.0, 30.0]),
            rand=draw.random,
            second=self._second,
            second_options=Second(
                on_outage=draw.choice(["wait", "second"]),
                late_after_s=draw.choice([0.2, 1.0, 30.0]),
                shed_above_age_s=draw.choice([0.0, 3.0]),
            ),
            kafka_options=msgspec.structs.replace(OPTIONS, guarantee=weather.guarantee),
            limits=_limits(draw),
        )
        self.service = self._parts.service
        self.running = asyncio.ensure_future(self._run())

    @property
    def all_servers(self) -> list[Server]:
        return [*self.servers, *self._second]

    async def _run(self) -> int:
        _, analyzer, pool, kept = self._parts
        await pool.start()
        beside = [asyncio.ensure_future(analyzer.watch())]
        if self._second:
            beside.append(asyncio.ensure_future(kept.run()))
        try:
            return await self.service.run(signals=False)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await pool.aclose()

    async def ended(self) -> None:
        assert await self.running == 0, repr(self.service.error)
        assert self.service.snapshot().in_flight_records == 0


class Weather:
    """What happens to a group, drawn at random."""

    def __init__(self, kafka: Cluster, draw: Random, guarantee: Guarantee) -> None:
        self.kafka = kafka
        self.draw = draw
        self.guarantee = guarantee
        self.say = Stumbling(draw)
        self.members: list[Member] = []
        self._gone: list[Member] = []
        self._started = 0
        self._later: set[asyncio.Task[None]] = set()
        self.happened: list[str] = []

    def join(self) -> None:
        self._started += 1
        self.members.append(Member(self, self._started))

    async def blow(self) -> None:
        kafka, draw = self.kafka, self.draw
        what: dict[str, Callable[[], object]] = {
            "servers": self._change_a_server,
            "commits fail": lambda: kafka.commit_faults.extend(self._faults()),
            "commits hang": lambda: self._soon(self._hang_commits()),
            "sends fail": lambda: kafka.send_faults.extend(self._faults(lost=0.3)),
            "fetches fail": lambda: kafka.fetch_faults.extend(self._faults()),
            "acknowledgements are late": lambda: self._soon(self._hold_acknowledgements()),
            "a batch is corrupt": lambda: self._soon(self._corrupt()),
            "retention": self._retain,
            "markers": lambda: kafka.logs[draw.choice(kafka.inputs())].skip(draw.randrange(1, 4)),
        }
        # A rebalance begins everything again: what would stand still is seen without them.
        moves: dict[str, Callable[[], object]] = {
            "the topic is created again": self._create_again,
            "rebalance": lambda: self._soon(kafka.rebalance(GROUP)),
            "thrown out": lambda: self._soon(
                kafka.kick(draw.choice(kafka.consumers), 5 * draw.random())
            ),
            "one joins": lambda: self.join() if len(self.members) < 3 else None,
            "one leaves": self._leave,
            "one is killed": partial(self._leave, killed=True),
        }
        if draw.random() < 0.5:
            what |= moves
        names = [*what, *["servers"] * len(what)]
        while True:
            await asyncio.sleep(draw.expovariate(2.0))
            self.happened.append(draw.choice(names))
            what[self.happened[-1]]()

    async def clear(self) -> None:
        """Fine weather from here on."""
        kafka = self.kafka
        for member in self.members:
            for server in member.all_servers:
                server.change("fine")
        while self._later:
            await asyncio.wait(self._later)
        for faults in (kafka.commit_faults, kafka.send_faults, kafka.fetch_faults):
            faults.clear()

    async def end(self) -> None:
        for member in self.members:
            member.service.stop()
        for member in (*self.members, *self._gone):
            await member.ended()

    def _change_a_server(self) -> None:
        member = self.draw.choice(self.members)
        server = self.draw.choice(member.all_servers)
        kinds = ["fine", *WEATHER]
        if server not in member.servers:  # whose pool may end, and come back
            kinds += [LOCKED_OUT] * 3
        server.change(self.draw.choice(kinds))

    def _faults(self, lost: float = 0.0) -> list[KafkaFault]:
        return [
            ProducerLost("sequence") if self.draw.random() < lost else Unreachable("broker")
            for _ in range(self.draw.randrange(1, 5))
        ]

    def _retain(self) -> None:
        log = self.kafka.logs[self.draw.choice(self.kafka.inputs())]
        log.retain(min(log.end, log.start + self.draw.randrange(20)))

    def _create_again(self) -> None:
        if self.draw.random() < 0.2:
            self.kafka.create_again("posts")

    def _leave(self, *, killed: bool = False) -> None:
        member = self.members.pop(self.draw.randrange(len(self.members)))
        self._gone.append(member)
        if killed:
            member.service.abandon()
        else:
            member.service.stop()
        if not self.members:
            self.join()

    def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _hang_commits(self) -> None:
        self.kafka.commit_hangs = True
        await asyncio.sleep(self.draw.uniform(0.0, 8.0))
        self.kafka.commit_hangs = False

    async def _hold_acknowledgements(self) -> None:
        self.kafka.held_topics = {"affect.events", "affect.dlq"}
        await asyncio.sleep(self.draw.uniform(0.0, 8.0))
        self.kafka.held_topics = set()
        for topic in ("affect.events", "affect.dlq"):
            self.kafka.acknowledge(topic)

    async def _corrupt(self) -> None:
        log = self.kafka.logs[self.draw.choice(self.kafka.inputs())]
        if log.bad_at is None:
            log.bad_at = log.end
            await asyncio.sleep(self.draw.uniform(1.0, 20.0))
            log.bad_at = None  # another replica leads, whose copy is good


async def _write(kafka: Cluster, draw: Random) -> set[bytes | None]:
    """Write posts, and what is none; give what can't become an event."""
    bad: set[bytes | None] = set()
    unreadable = 0
    for number in range(POSTS):
        kind = draw.random()
        # Texts repeat: what is asked for one post is waited for by others.
        text = f"Number {draw.randrange(60)}."
        if unreadable or kind > 0.99:
            unreadable = (unreadable or draw.choice([1, 8])) - 1
            text = f"unreadable {number}"
        value: bytes | None = json.dumps({"id": f"p{number}", "text": text}).encode()
        if kind < 0.05:
            value = None
        elif kind < 0.1:
            value = f"not JSON {number}".encode()
        if value is not None and b"Number" not in value:
            bad.add(value)
        kafka.logs[draw.choice(kafka.inputs())].append(
            None, value, timestamp_ms=int(LoopClock().wall() * 1000)
        )
        kafka.wake()
        await asyncio.sleep(draw.expovariate(10.0))
    return bad


@pytest.mark.parametrize("seed", range(6))
def test_no_commit_passes_an_unfinished_post_and_all_are_finished_in_the_end(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every third time exactly once."""
    monkeypatch.setattr(inference, "_read", _read)
    guarantee: Guarantee = "exactly-once" if seed % 3 == 2 else "at-least-once"
    with capture_logs():
        simulated(partial(_in_bad_weather, Random(seed), guarantee))()


async def _in_bad_weather(draw: Random, guarantee: Guarantee) -> None:
    kafka = Cluster()
    weather = Weather(kafka, draw, guarantee)
    weather.join()
    blowing = asyncio.ensure_future(weather.blow())
    bad = await _write(kafka, draw)
    blowing.cancel()
    await asyncio.gather(blowing, return_exceptions=True)
    await weather.clear()
    await asyncio.sleep(NOTICED_S)
    ends = {partition: kafka.logs[partition].end for partition in kafka.inputs()}
    async with asyncio.timeout(600.0):  # one server may take two prompts at once
        while kafka.groups[GROUP].committed != ends:  # noqa: ASYNC110 - time is simulated
            await asyncio.sleep(0.5)
    assert not [one for partition, end in ends.items() for one in kafka.unsettled(partition, end)]
    assert not kafka.condemned() - bad
    await weather.end()
    await kafka.settled()
    await asyncio.sleep(1.0)
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert not left, left
