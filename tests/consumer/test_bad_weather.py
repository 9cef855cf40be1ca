"""Members of one group in bad weather, from Kafka's records to committed offsets.

Servers fail, brokers refuse, partitions move, members join, leave and are killed: no commit passes
a post without its outcome, and once the weather is fine everything is finished and committed.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from random import Random
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from consumer.options import (
    BatchLimits,
    CommitPolicy,
    DrainBudget,
    FuseLimits,
    InFlightLimits,
    ServiceLimits,
)
from consumer.settings import Second
from runtime.kafka.errors import KafkaFault, ProducerLost, Unreachable
from runtime.kafka.options import Guarantee
from runtime.kafka.protocol import Partition
from tests.consumer.simulated import OPTIONS, assembled, readable, unless
from tests.emollm.pool.simulation import LoopClock, simulated
from tests.emollm.pool.weather import WEATHER, Server
from tests.runtime.kafka.fake_kafka import FakeConsumer, FakeKafka

GROUP = OPTIONS.group_id
POSTS = 300
TOPICS = {"posts": 3, "affect.events": 2, "affect.dlq": 1}
BANANA = unless({"unreadable": msgspec.structs.replace(readable("x"), text="banana")})


class Cluster(FakeKafka):
    """One that moves partitions once at a time, and looks at each commit."""

    def __init__(self) -> None:
        super().__init__(TOPICS, LoopClock())
        self._one_at_a_time = asyncio.Lock()
        self._moving: set[asyncio.Task[None]] = set()
        self._read: dict[Partition, int] = {}
        self._events: dict[bytes, bytes | None] = {}
        """Ids of events by their posts' ids."""
        self._dead: set[bytes | None] = set()
        self._checked: dict[Partition, int] = {}
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

    def unsettled(self, partition: Partition, before: int) -> Iterator[int]:
        """Give offsets without an outcome."""
        self._read_outputs()
        for record in self.logs[partition].records:
            value = record.value
            if not self._checked.get(partition, 0) <= record.offset < before or value is None:
                continue
            if value not in self._dead and _id(value) not in self._events:
                yield record.offset

    def dead_letters(self) -> set[bytes | None]:
        self._read_outputs()
        return self._dead

    def _look(self, partition: Partition, offset: int) -> None:
        assert not list(self.unsettled(partition, offset)), f"{partition} at {offset}"
        self._checked[partition] = max(offset, self._checked.get(partition, 0))

    def _read_outputs(self) -> None:
        for partition, log in self.logs.items():
            if partition.topic == "posts":
                continue
            for record in log.records[self._read.get(partition, 0) :]:
                if partition.topic == "affect.dlq":
                    self._dead.add(record.value)
                    continue
                headers = dict(record.headers)
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

    def __init__(self, kafka: Cluster, draw: Random, number: int, guarantee: Guarantee) -> None:
        self.servers = [
            Server(f"http://{name}{number}", draw, BANANA, model="emostream-small")
            for name in "ab"[: draw.choice([1, 2])]
        ]
        self._second = [Server("http://second", draw, BANANA)] if draw.random() < 0.3 else []
        self._parts = assembled(
            kafka,
            *self.servers,
            timeout_s=draw.choice([3.0, 30.0]),
            rand=draw.random,
            second=self._second,
            second_options=Second(on_outage=draw.choice(["wait", "second"])),
            kafka_options=msgspec.structs.replace(OPTIONS, guarantee=guarantee),
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
        self._guarantee = guarantee
        self.members: list[Member] = []
        self._gone: list[Member] = []
        self._started = 0
        self._later: set[asyncio.Task[None]] = set()
        self.happened: list[str] = []

    def join(self) -> None:
        self._started += 1
        self.members.append(Member(self.kafka, self.draw, self._started, self._guarantee))

    async def blow(self) -> None:
        kafka, draw = self.kafka, self.draw
        what: dict[str, Callable[[], object]] = {
            "servers": lambda: self._server().change(draw.choice(["fine", *WEATHER])),
            "commits fail": lambda: kafka.commit_faults.extend(self._faults()),
            "commits hang": lambda: self._soon(self._hang_commits()),
            "sends fail": lambda: kafka.send_faults.extend(self._faults(lost=0.3)),
            "fetches fail": lambda: kafka.fetch_faults.extend(self._faults()),
            "acknowledgements are late": lambda: self._soon(self._hold_acknowledgements()),
            "a batch is corrupt": lambda: self._soon(self._corrupt()),
            "markers": lambda: kafka.logs[draw.choice(kafka.inputs())].skip(draw.randrange(1, 4)),
            "rebalance": lambda: self._soon(kafka.rebalance(GROUP)),
            "thrown out": lambda: self._soon(
                kafka.kick(draw.choice(kafka.consumers), 5 * draw.random())
            ),
            "one joins": lambda: self.join() if len(self.members) < 3 else None,
            "one leaves": self._leave,
            "one is killed": partial(self._leave, killed=True),
        }
        while True:
            await asyncio.sleep(draw.expovariate(1.0))
            name = draw.choice(["servers"] * 8 + list(what))
            self.happened.append(name)
            what[name]()

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

    def _server(self) -> Server:
        return self.draw.choice(self.draw.choice(self.members).all_servers)

    def _faults(self, lost: float = 0.0) -> list[KafkaFault]:
        return [
            ProducerLost("sequence") if self.draw.random() < lost else Unreachable("broker")
            for _ in range(self.draw.randrange(1, 5))
        ]

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


async def _write(kafka: Cluster, draw: Random) -> list[bytes]:
    """Write posts, and what is none; give what can't become an event."""
    bad = []
    for number in range(POSTS):
        kind = draw.random()
        # Texts repeat: what is asked for one post is waited for by others.
        text = f"Number {draw.randrange(60)}." if kind < 0.99 else f"unreadable {number}"
        value: bytes | None = json.dumps({"id": f"p{number}", "text": text}).encode()
        if kind < 0.05:
            value = None
        elif kind < 0.1:
            value = f"not JSON {number}".encode()
        if value is not None and (kind < 0.1 or kind >= 0.99):
            bad.append(value)
        kafka.logs[draw.choice(kafka.inputs())].append(
            None, value, timestamp_ms=int(LoopClock().wall() * 1000)
        )
        kafka.wake()
        await asyncio.sleep(draw.expovariate(6.0))
    return bad


@pytest.mark.parametrize("seed", range(6))
def test_no_commit_passes_an_unfinished_post_and_all_are_finished_in_the_end(seed: int) -> None:
    with capture_logs():
        simulated(partial(_in_bad_weather, Random(seed), "at-least-once"))()


async def _in_bad_weather(draw: Random, guarantee: Guarantee) -> None:
    kafka = Cluster()
    weather = Weather(kafka, draw, guarantee)
    weather.join()
    blowing = asyncio.ensure_future(weather.blow())
    bad = await _write(kafka, draw)
    blowing.cancel()
    await asyncio.gather(blowing, return_exceptions=True)
    await weather.clear()
    ends = {partition: kafka.logs[partition].end for partition in kafka.inputs()}
    async with asyncio.timeout(120.0):
        while kafka.groups[GROUP].committed != ends:  # noqa: ASYNC110 - time is simulated
            await asyncio.sleep(0.5)
    assert not [one for partition, end in ends.items() for one in kafka.unsettled(partition, end)]
    assert kafka.dead_letters() == set(bad)
    await weather.end()
    await kafka.settled()
