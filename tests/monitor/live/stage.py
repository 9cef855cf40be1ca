"""A monitor on a real Kafka, with topics of its own, and what it should have written."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from infra.kafka import TopicNames, create_topics, default_topics
from monitor.app import run
from monitor.configured import make_matcher, make_watch
from monitor.events import decode
from monitor.live.journal import window_key
from monitor.settings import Settings, load
from monitor.watch import Closed
from runtime.kafka.connection import Broker
from runtime.kafka.producing import kafka_producer
from runtime.kafka.topic_log import Span, StoredRecord, kafka_topic_log
from schemas import AffectEvent, Sentiment
from schemas.alert import Alert
from schemas.window import Window
from tests.monitor.live.made import T0, event
from tests.process import WAIT_S, Process, emostream
from tests.topics import topic_names

ACTIVE = "emostream monitor is active"
_AT_ONCE = 10
"""Events that lie two seconds apart: less than the allowed lateness."""
"""In the line that the active monitor prints."""
TRACKS = "".join(
    f'[[monitor.tracks]]\nname = "{name}"\ntopics = ["{name}"]\n'
    for name in ("trains", "planes", "buses")
)
"""Named: tracks of their own are made in the order in which their posts come."""


@dataclass
class Stage:
    """Topics, a configuration file and the means to write and read."""

    config: Path
    names: TopicNames
    broker: Broker
    settings: Settings

    def process(self) -> Process:
        """`emostream monitor` as a process of its own. Its line holds `ACTIVE` once it is that."""
        return emostream("monitor", "--config", str(self.config))

    @asynccontextmanager
    async def running(
        self, *, output: Mapping[str, object] = MappingProxyType({}), **more: object
    ) -> AsyncIterator[str]:
        """The monitor in this process, until the end of the block; give the line it prints.

        `more` changes settings of `[monitor]`, `output` those of `[output]`.
        """
        lines: asyncio.Queue[str] = asyncio.Queue()
        stop = asyncio.Event()
        values = msgspec.json.decode(self.settings.model_dump_json())
        values["monitor"] |= more
        values["output"] |= output
        settings = Settings.model_validate(values)
        monitor = asyncio.create_task(
            run(settings, signals=False, stop=stop, on_ready=lines.put_nowait)
        )
        try:
            async with asyncio.timeout(WAIT_S):
                yield await lines.get()
        finally:
            stop.set()
            assert await monitor == 0

    async def write(self, events: Iterable[AffectEvent]) -> None:
        """Write events, each to the partition of its post.

        A few at a time: a monitor that reads meanwhile takes a partition whose end it has reached
        for one that has no older events to come.
        """
        waiting = list(events)
        async with kafka_producer(self.broker) as producer:
            for first in range(0, len(waiting), _AT_ONCE):
                reports = [
                    await producer.send(
                        self.names.events, key=one.post_id.encode(), value=msgspec.json.encode(one)
                    )
                    for one in waiting[first : first + _AT_ONCE]
                ]
                await asyncio.gather(*reports)

    async def everything(self, topic: str) -> list[StoredRecord]:
        """All that a topic holds, a transaction that is being committed included.

        Kafka answers the end of a transaction before its records can be read: what is committed
        ends before them for a moment, the log doesn't.
        """
        async with kafka_topic_log(topic, self.broker) as log:
            starts = await log.spans()
            ends = await self._log_ends(topic, starts)
            spans = {number: Span(one.start, ends[number]) for number, one in starts.items()}
            return [record async for record in log.in_order(spans)]

    async def _log_ends(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """Where each partition's log ends, whether or not what it holds is committed."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.broker.bootstrap)
        await consumer.start()
        try:
            ends = await consumer.end_offsets([TopicPartition(topic, one) for one in partitions])
            return {partition.partition: end for partition, end in ends.items()}
        finally:
            await consumer.stop()

    async def windows_until(self, keys: Iterable[bytes]) -> list[StoredRecord]:
        """The records of the windows' topic, as soon as each of these keys has come."""
        missing = set(keys)

        def found(record: StoredRecord) -> bool:
            missing.discard(record.key or b"")
            return not missing

        return await self._until(self.names.windows, found)

    async def alerts_until(self, transition: str) -> list[Alert]:
        """The alerts' transitions, as soon as one is of this kind."""

        def found(record: StoredRecord) -> bool:
            alert: dict[str, object] = msgspec.json.decode(record.value or b"{}")
            return alert.get("transition") == transition

        records = await self._until(self.names.alerts, found)
        return [msgspec.json.decode(one.value or b"", type=Alert) for one in records]

    async def _until(self, topic: str, done: Callable[[StoredRecord], bool]) -> list[StoredRecord]:
        records: list[StoredRecord] = []
        async with asyncio.timeout(WAIT_S), kafka_topic_log(topic, self.broker) as log:
            spans = {n: Span(one.start, one.end) for n, one in (await log.spans()).items()}
            followed = log.in_order(spans, follow=True)
            async for record in followed:
                records.append(record)
                if done(record):
                    break
            await followed.aclose()
        return records

    async def oracle(self) -> dict[bytes, Window]:
        """The closed windows of one pass over everything that was written."""
        return {window_key(window): window for window in (await self.one_pass()).windows}

    async def one_pass(self) -> Closed:
        """The windows and the alerts of one pass over everything that was written."""
        watch = make_watch(self.settings, make_matcher(self.settings))
        records = await self.everything(self.names.events)
        partitions = {0, 1, 2, 3} | {record.partition for record in records}
        for partition in partitions:
            watch.watermark.assign(partition)
        for record in records:
            if record.value is not None:
                at = record.timestamp_ms / 1000
                watch.feed(decode(record.value), record.partition, record.offset, at)
        for partition in partitions:
            watch.watermark.idle(partition)
        return watch.advance()


async def make_stage(bootstrap: str, folder: Path, more: str = "") -> Stage:
    """Topics under a mark of their own, and a configuration that names them."""
    mark = secrets.token_hex(4)
    names = topic_names(mark)
    await create_topics({"bootstrap_servers": bootstrap}, default_topics(names))
    config = folder / f"{mark}.toml"
    config.write_text(
        f'[kafka]\nbootstrap = "{bootstrap}"\nsession_timeout_s = 6.0\n'
        f'[log]\nformat = "json"\n'
        f'[input]\ntopics = ["{names.posts}"]\ngroup_id = "{mark}.consumer"\n'
        f'[output]\nevents_topic = "{names.events}"\ndlq_topic = "{names.dead_letters}"\n'
        f'[monitor]\ngroup_id = "{mark}.monitor"\nidle_after_s = 0.2\nout_of_order_s = 0\n'
        f'alerts_topic = "{names.alerts}"\nmutes_topic = "{names.mutes}"\n'
        f'windows_topic = "{names.windows}"\nbaselines_topic = "{names.baselines}"\n{more}\n'
        "[monitor.http]\nport = 0\n[monitor.page]\nenabled = false\n" + TRACKS
    )
    return Stage(config, names, Broker(bootstrap=bootstrap), load(config, {}))


def posts(first: int, last: int, *, every_s: float = 2.0) -> list[AffectEvent]:
    """Posts of three tracks: out of order within the lateness, some twice, some read again."""
    found: list[AffectEvent] = []
    for number in range(first, last):
        at_s = number * every_s + (17 if number % 5 == 0 else 0)
        topic = ("trains", "planes", "buses")[number % 3]
        text = (
            "the same words, again and again" if number % 4 == 0 else f"made-up post no. {number}"
        )
        one = event(number, at_s=at_s, topic=topic, text=text)
        found.append(one)
        if number % 11 == 0:
            found.append(one)
        if number % 13 == 0:
            again = {"id": f"again-{number}", "processed_at": one.processed_at + timedelta(hours=1)}
            found.append(msgspec.structs.replace(one, **again))
    return found


def closing(number: int, at_s: float) -> list[AffectEvent]:
    """Posts that let everything before them close."""
    return [event(number + n, at_s=at_s, topic="closing") for n in range(3)]


def folded(records: Sequence[StoredRecord]) -> dict[bytes, Window]:
    """The newest record of each key."""
    return {
        record.key or b"": msgspec.json.decode(record.value or b"", type=Window)
        for record in records
    }


def mood(first_s: float, last_s: float, *, every_s: float, negative: float) -> list[AffectEvent]:
    """Posts of the track `trains` by many people, of which this share is negative."""
    found: list[AffectEvent] = []
    steps = round((last_s - first_s) / every_s)
    for step in range(steps):
        at_s = first_s + step * every_s
        number = 1_000_000 + round(at_s * 10)
        # As evenly as can be: a spike is one by the storm, not by chance.
        low = int((step + 1) * negative) > int(step * negative)
        found.append(
            event(
                number,
                at_s=at_s,
                author=f"person-{number % 977}",
                processed_at=T0 + timedelta(seconds=at_s),
                sentiment=Sentiment(valence=0.12 if low else 0.71),
                emotions=("anger",) if low else ("joy",),
                text=f"signal failure {number}" if low else f"a nice ride {number}",
            )
        )
    return found
