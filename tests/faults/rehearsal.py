"""The fault program in small: one seed's faults on the Kafka in memory, judged by the same code."""

import asyncio
import random
from collections.abc import Callable

from consumer.options import DrainBudget
from runtime.kafka.options import Guarantee
from runtime.kafka.protocol import Partition
from tests.consumer.delivery.rig import GROUP, Rig, limits, options
from tests.faults.verdict import Commit, Input, Output, Verdict, judge
from tests.runtime.fake_clock import FakeClock
from tests.runtime.kafka.fake_kafka import FakeKafka

_STEPS = 25
_PARTITIONS = 2
_EVENTS = Partition("affect.events", 0)


class JumpingClock(FakeClock):
    """A wall clock that can be set; the monotonic one only goes on."""

    shift = 0.0

    def wall(self) -> float:
        return super().wall() + self.shift


class Rehearsal:
    """One group member after the other on one broker; `run` gives the verdict."""

    def __init__(self, seed: int, guarantee: Guarantee = "at-least-once") -> None:
        self._guarantee = guarantee
        self._random = random.Random(seed)
        self._clock = JumpingClock()
        topics = {"posts": _PARTITIONS, "affect.events": 1, "affect.dlq": 1}
        self._kafka = FakeKafka(topics, self._clock)
        self._kafka.on_commit = self._on_commit
        self._commits: list[Commit] = []
        self._rig = self._member()

    async def run(self, *, once: bool = False) -> Verdict:
        """With `once`, an input with two outputs is a broken promise."""
        faults: list[Callable[[], object]] = [
            self._slow_model,
            self._fast_model,
            self._broker_acknowledges_nothing,
            self._broker_acknowledges,
            self._move,
            self._stop,
            self._kill,
            self._jump,
        ]
        self._rig.start()
        for _ in range(_STEPS):
            self._produce()
            await self._rig.turn(self._random.uniform(0.01, 1.5))
            left = self._random.choice(faults)()
            if asyncio.iscoroutine(left):
                await left
        await self._peace()
        return judge(self._inputs(), self._outputs(), self._commits, finished=True, once=once)

    # What is judged.

    def _on_commit(self, partition: Partition, offset: int) -> None:
        written = len(self._kafka.logs[_EVENTS].records)
        self._commits.append(Commit(partition.partition, offset, written))

    def _inputs(self) -> dict[tuple[int, int], Input]:
        return {
            (number, record.offset): Input(None, None, 0)
            for number in range(_PARTITIONS)
            for record in self._kafka.logs[Partition("posts", number)].records
        }

    def _outputs(self) -> list[Output]:
        found = []
        for count, record in enumerate(self._kafka.logs[_EVENTS].records, start=1):
            assert record.value is not None
            number, offset = record.value.split(b"-")
            found.append(Output((int(number), int(offset)), None, None, 0, record.value, count))
        return found

    # What happens.

    def _member(self) -> Rig:
        return Rig(
            self._kafka,
            clock=self._clock,
            kafka_options=options(guarantee=self._guarantee),
            service_limits=limits(drain=DrainBudget(revoke_s=1, stop_s=1)),
        )

    def _produce(self) -> None:
        partition = Partition("posts", self._random.randrange(_PARTITIONS))
        end = self._kafka.logs[partition].end
        values: list[bytes | None] = [
            f"{partition.partition}-{end + n}".encode() for n in range(self._random.randint(1, 9))
        ]
        self._kafka.produce("posts", values, partition.partition)

    def _slow_model(self) -> None:
        ends = [self._kafka.logs[Partition("posts", number)].end for number in range(_PARTITIONS)]
        self._rig.processor.hold(*(f"{number}-{end}".encode() for number, end in enumerate(ends)))

    def _fast_model(self) -> None:
        self._rig.processor.held = set()
        self._rig.processor.release()

    def _broker_acknowledges_nothing(self) -> None:
        self._kafka.held_topics = {"affect.events"}

    def _broker_acknowledges(self) -> None:
        self._kafka.held_topics = set()
        self._kafka.acknowledge("affect.events")

    def _jump(self) -> None:
        self._clock.shift = self._random.uniform(-1e6, 1e6)

    async def _move(self) -> None:
        moving = asyncio.ensure_future(self._kafka.rebalance(GROUP))
        while not moving.done():
            await self._rig.turn(0.5)

    async def _stop(self) -> None:
        await self._rig.stop()
        self._next()

    async def _kill(self) -> None:
        """What was sent and not written is lost with the process."""
        self._kafka._held.clear()
        self._rig.service.abandon()
        await self._rig.end()
        self._next()

    def _next(self) -> None:
        self._rig = self._member()
        self._rig.start()

    async def _peace(self) -> None:
        self._fast_model()
        for _ in range(20):
            self._broker_acknowledges()
            await self._rig.turn(2)
        await self._rig.stop()
