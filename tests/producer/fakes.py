"""Kafka and the clock, in memory."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Any

from runtime.clock import Timer
from runtime.kafka.producing import Outgoing
from runtime.kafka.topic_log import Span, StoredRecord


class FakeClock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.on_sleep: Callable[[], None] = lambda: None

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now

    def call_later(self, delay_s: float, call: Callable[[], None]) -> Timer:
        self.now += delay_s
        self.on_sleep()
        return asyncio.get_running_loop().call_soon(call)


class FakeProducer:
    """Takes records; acknowledges at once, or when the test says so."""

    def __init__(self, *, at_once: bool = True) -> None:
        self.records: list[Outgoing] = []
        self.at_once = at_once
        self.waiting: deque[asyncio.Future[Any]] = deque()
        self.refuse: Callable[[Outgoing], Exception | None] = lambda _record: None
        """The error of a record's delivery report."""
        self.raises: Callable[[Outgoing], Exception | None] = lambda _record: None
        """The error of handing it over."""
        self.most_waiting = 0
        self._taken = asyncio.Event()

    async def send(
        self,
        topic: str,
        *,
        value: bytes | None = None,
        key: bytes | None = None,
        timestamp_ms: int | None = None,
        headers: Any = None,
    ) -> "asyncio.Future[Any]":
        record = Outgoing(
            topic=topic,
            key=key,
            value=value,
            timestamp_ms=timestamp_ms,
            headers=tuple(headers or ()),
        )
        if error := self.raises(record):
            raise error
        self.records.append(record)
        self._taken.set()
        report: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if refused := self.refuse(record):
            report.set_exception(refused)
        elif self.at_once:
            report.set_result(None)
        else:
            self.waiting.append(report)
            self.most_waiting = max(self.most_waiting, len(self.waiting))
        return report

    async def took(self, count: int) -> None:
        """Return when so many records were handed over."""
        async with asyncio.timeout(10):
            while len(self.records) < count:
                self._taken.clear()
                await self._taken.wait()

    def acknowledge(self, count: int = 1) -> None:
        for _ in range(count):
            self.waiting.popleft().set_result(None)


class MemoryTopicLog:
    """`TopicLog` on a list."""

    def __init__(self, records: list[StoredRecord]) -> None:
        self.records = records
        self.committed: dict[int, int] = {}
        self.retention: dict[str, int] = {}
        """A topic's `retention.ms`."""

    async def spans(self, *, since: datetime | None = None) -> dict[int, Span]:
        spans = {}
        for partition in {record.partition for record in self.records}:
            mine = [record for record in self.records if record.partition == partition]
            end = mine[-1].offset + 1
            start = mine[0].offset
            if since is not None:
                moment = since.timestamp() * 1000
                start = next((r.offset for r in mine if r.timestamp_ms >= moment), end)
            spans[partition] = Span(max(start, self.committed.get(partition, 0)), end)
        return spans

    async def read(self, spans: Mapping[int, Span]) -> AsyncIterator[StoredRecord]:
        for record in list(self.records):
            span = spans.get(record.partition, Span(0, 0))
            if span.start <= record.offset < span.end:
                yield record

    async def commit(self, offsets: Mapping[int, int]) -> None:
        self.committed.update(offsets)

    async def retention_ms(self, topic: str) -> int | None:
        return self.retention.get(topic)
