"""A topic in memory, with the real reading back: appended is what was acknowledged."""

import asyncio
import random
import zlib
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import msgspec
from aiokafka.errors import NotEnoughReplicasError

from producer.live import LiveReport, LiveSettings, run_live
from producer.live.headers import LiveHeaders
from producer.live.outlet import Opened
from producer.live.resume import read_back
from producer.live.service import MakeSources
from runtime.clock import Clock, SystemClock, Timer
from runtime.kafka.connection import Broker
from runtime.kafka.errors import KafkaFault
from runtime.kafka.topic_log import Span, StoredRecord
from runtime.settings.telemetry import Http
from tests.producer.fakes import MemoryTopicLog

PARTITIONS = 3


class HastyClock(SystemClock):
    """Real time, in which pauses below a minute take none."""

    def call_later(self, delay_s: float, call: Callable[[], None]) -> Timer:
        return super().call_later(delay_s if delay_s >= 60 else 0.0, call)


class MemoryKafka:
    """An `Outlet`, the topic behind it, and the faults that a test wants."""

    def __init__(self) -> None:
        self.records: list[StoredRecord] = []
        self.lose: Callable[[bytes], bool] = lambda _key: False
        """Whether a record is not taken; asked for each."""
        self.opened = 0
        self.away: list[KafkaFault] = []
        """Raised by the next openings, one each."""
        self.remember = 10_000
        self.patience_s = 20.0
        self.took = asyncio.Event()
        """Set by each record."""

    @asynccontextmanager
    async def open(self, sources: Collection[str]) -> AsyncIterator[Opened]:
        self.opened += 1
        if self.away:
            raise self.away.pop(0)
        resume = await read_back(_Log(self.records), sources, remember=self.remember)
        yield Opened(_Producer(self), resume)

    def begin(self, source: str, at_us: int) -> None:
        """Hold one record of an earlier run of a source, whose watermark is this."""
        headers = LiveHeaders(source=source, watermark=at_us).encoded()
        self._append(0, b"before", b'{"id":"before","text":"x"}', headers)

    def append(
        self, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> None:
        """Have one record more, in its key's partition."""
        self._append(zlib.crc32(key or b"") % PARTITIONS, key, value, headers)

    def _append(
        self,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
    ) -> None:
        self.records.append(
            StoredRecord(
                partition=partition,
                offset=sum(one.partition == partition for one in self.records),
                timestamp_ms=int(SystemClock().wall() * 1000),
                key=key,
                value=value,
                headers=headers,
            )
        )
        self.took.set()

    def age(self, seconds: float) -> None:
        """Let so much time pass since all that is there was written."""
        self.records = [
            msgspec.structs.replace(one, timestamp_ms=one.timestamp_ms - int(seconds * 1000))
            for one in self.records
        ]

    def newest(self) -> dict[str, bytes | None]:
        """The last value of each key, as a compacted topic keeps it."""
        return {(one.key or b"").decode(): one.value for one in self.records}

    def keys(self) -> list[str]:
        return [(one.key or b"").decode() for one in self.records]

    def holds(self, key: str) -> bool:
        return key in self.keys()

    async def has(self, condition: Callable[[], bool]) -> None:
        """Return as soon as it holds of the records."""
        async with asyncio.timeout(self.patience_s):
            while not condition():
                self.took.clear()
                await self.took.wait()


class _Log(MemoryTopicLog):
    async def spans(self, *, since: datetime | None = None) -> dict[int, Span]:
        found = await super().spans(since=since)
        return {number: found.get(number, Span(0, 0)) for number in range(PARTITIONS)}


class _Producer:
    def __init__(self, kafka: MemoryKafka) -> None:
        self._kafka = kafka
        self._broken: set[int] = set()

    async def send(
        self,
        topic: str,
        *,
        value: bytes | None = None,
        key: bytes | None = None,
        timestamp_ms: int | None = None,
        headers: Any = None,
    ) -> "asyncio.Future[Any]":
        report: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(self._append, report, key, value, tuple(headers or ()))
        return report

    def _append(
        self,
        report: "asyncio.Future[Any]",
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
    ) -> None:
        if report.done():
            return
        partition = zlib.crc32(key or b"") % PARTITIONS
        if partition in self._broken or self._kafka.lose(key or b""):
            self._broken.add(partition)  # as its sequence is, after a send that failed
            report.set_exception(NotEnoughReplicasError())
            return
        self._kafka.append(key, value, headers)
        report.set_result(None)


async def run(
    make: MakeSources,
    kafka: MemoryKafka,
    *,
    names: Sequence[str],
    until: Callable[[], bool],
    settings: LiveSettings | None = None,
    clock: Clock | None = None,
) -> LiveReport:
    """Run the service until something holds of the records, then stop it in good order."""
    stop = asyncio.Event()
    running = asyncio.create_task(
        run_live(
            make,
            settings or LiveSettings(http=Http(port=0)),
            Broker(),
            names=names,
            stop=stop,
            outlet=kafka,
            rng=random.Random(1),
            clock=clock,
        )
    )
    watching = asyncio.create_task(kafka.has(until))
    await asyncio.wait((running, watching), return_when=asyncio.FIRST_COMPLETED)
    watching.cancel()
    if watching.done() and not watching.cancelled() and watching.exception():
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        raise AssertionError(f"it did not come; {len(kafka.records)} records: {kafka.keys()[-5:]}")
    stop.set()
    async with asyncio.timeout(20):
        return await running
