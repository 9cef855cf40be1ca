"""Every post and what came of it, read from the topics while the soak runs."""

import math
from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.soak.log import Window
from infra.kafka import TopicNames

_FETCH_MS = 500


class Ledger:
    """Posts and events by key (each post has a key of its own), with the broker's timestamps."""

    def __init__(self, names: TopicNames) -> None:
        self._names = names
        self.posts: dict[bytes, int] = {}
        """Key → milliseconds, when it was handed to the producer."""
        self.events: dict[bytes, int] = {}
        """Key → milliseconds, when the broker wrote its first event."""
        self.dead_letters: set[bytes] = set()
        self.redelivered = 0
        self.other_ids = 0
        self._ids: dict[bytes, bytes] = {}

    @property
    def open(self) -> int:
        """Posts without an event or a dead letter, by what has been read."""
        return sum(
            1 for key in self.posts if key not in self.events and key not in self.dead_letters
        )

    async def follow(self, bootstrap: str, partitions: int) -> None:
        """Read the three topics from their beginnings, until cancelled; of no group."""
        names = self._names
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        await consumer.start()
        try:
            consumer.assign(
                [
                    TopicPartition(topic, number)
                    for topic in (names.posts, names.events, names.dead_letters)
                    for number in range(partitions)
                ]
            )
            while True:
                for tp, records in (await consumer.getmany(timeout_ms=_FETCH_MS)).items():
                    for record in records:
                        self._take(tp.topic, record.key, record.timestamp, record.headers)
        finally:
            await consumer.stop()

    def windows(self, began_ms: float, until_s: float, seconds: float) -> list[Window]:
        """Latency by whole windows of the time at which posts were written."""
        found: list[list[int]] = [[] for _ in range(math.floor(until_s / seconds))]
        for key, posted in self.posts.items():
            number = math.floor((posted - began_ms) / 1000 / seconds)
            if 0 <= number < len(found) and key in self.events:
                found[number].append(self.events[key] - posted)
        return [_window(n * seconds, seconds, took) for n, took in enumerate(found) if took]

    def _take(
        self, topic: str, key: bytes, at_ms: int, headers: Iterable[tuple[str, bytes]]
    ) -> None:
        if topic == self._names.posts:
            self.posts[key] = at_ms
        elif topic == self._names.dead_letters:
            self.dead_letters.add(key)
        else:
            id_ = dict(headers)["ce_id"]
            if key in self.events:
                self.redelivered += 1
                self.other_ids += id_ != self._ids[key]
            else:
                self.events[key], self._ids[key] = at_ms, id_


def _window(at_s: float, seconds: float, took_ms: list[int]) -> Window:
    took_ms.sort()

    def share(part: float) -> float:  # nearest rank
        return float(took_ms[max(0, math.ceil(part * len(took_ms)) - 1)])

    return Window(
        at_s=at_s,
        seconds=seconds,
        posts=len(took_ms),
        p50_ms=share(0.5),
        p99_ms=share(0.99),
        worst_ms=share(1.0),
    )
