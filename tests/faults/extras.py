"""Posts beside the load: poison, corrupt batches, backlogs; each with what must become of it."""

from collections import defaultdict
from dataclasses import dataclass

import msgspec
from aiokafka import AIOKafkaProducer

from runtime.clock import SystemClock
from tests.faults.cluster import NAMES, REMADE

GENERATION = 100
"""Logs are numbered: those of the posts' topic by their partition, and the n-th life of the topic
that is created again by n times this."""


@dataclass
class Due:
    """What must become of a record."""

    dead_letter: str | None = None
    """Its class; None where it must become an event."""
    skipped: bool = False
    """It must leave nothing: no post, or in a batch that was skipped."""
    may_wait: bool = False
    """It may stay uncommitted: its topic was deleted, or the fuse has blown."""


class Sent(msgspec.Struct, frozen=True):
    """One record that a broker has acknowledged."""

    log: int
    offset: int
    key: bytes
    value: bytes
    at: float


class Life(msgspec.Struct):
    """One life of the topic that is created again. Unix milliseconds."""

    log: int
    topic_id: str
    began: float
    ended: float = float("inf")
    """When nothing was left of it."""


class Extras:
    """Writes them, and knows them all."""

    def __init__(self, bootstrap: str, seed: int) -> None:
        self.prefix = f"extra-{seed}-"
        self.bootstrap = bootstrap
        self.due: dict[bytes, Due] = {}
        self.sent: dict[bytes, Sent] = {}
        self.kinds: dict[str, list[bytes]] = defaultdict(list)
        """Keys by what they were written for."""
        self.lives: list[Life] = []
        self._clock = SystemClock()
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect: before anything is broken."""
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap, enable_idempotence=True, request_timeout_ms=180_000
        )
        await self._producer.start()

    async def stop(self) -> None:
        """Disconnect."""
        if self._producer is not None:
            await self._producer.stop()

    def make(self, kind: str, text: str, due: Due | None = None) -> tuple[bytes, bytes]:
        """Give a new post's key and value; what isn't sent afterwards is owed nothing."""
        key = f"{self.prefix}{len(self.due)}".encode()
        self.due[key] = due or Due()
        self.kinds[kind].append(key)
        post = {"id": key.decode(), "text": f"{text} ({len(self.due)})", "lang": "en"}
        return key, msgspec.json.encode(post)

    async def send(
        self, kind: str, text: str, *, partition: int, count: int = 1, due: Due | None = None
    ) -> list[Sent]:
        """Write posts to a partition of the posts' topic, each acknowledged."""
        made = [self.make(kind, text, due) for _ in range(count)]
        return await self.write(made, NAMES.posts, partition)

    async def send_remade(self, text: str, count: int) -> None:
        """Write posts to the topic that is created again, in its present life."""
        due = Due()
        await self.write([self.make("remade", text, due) for _ in range(count)], REMADE, 0)

    async def write(
        self, records: list[tuple[bytes, bytes]], topic: str, partition: int
    ) -> list[Sent]:
        """Write these, all acknowledged."""
        assert self._producer is not None
        at = [self._clock.wall() * 1000 for _ in records]
        acknowledged = [
            await self._producer.send(
                topic, key=key, value=value, partition=partition, timestamp_ms=int(when)
            )
            for (key, value), when in zip(records, at, strict=True)
        ]
        log = partition if topic == NAMES.posts else self.lives[-1].log
        sent = [
            Sent(log, (await ack).offset, key, value, when)
            for ack, (key, value), when in zip(acknowledged, records, at, strict=True)
        ]
        self.sent |= {one.key: one for one in sent}
        return sent

    def note(self, log: int, offsets: list[tuple[bytes, int]]) -> None:
        """Where posts are that somebody else wrote."""
        at = self._clock.wall() * 1000
        self.sent |= {key: Sent(log, offset, key, b"", at) for key, offset in offsets}

    def sent_in_batch(self, log: int, first: int, after: int) -> list[bytes]:
        """Keys of what was written at these offsets."""
        return [
            one.key for one in self.sent.values() if one.log == log and first <= one.offset < after
        ]

    def life_begins(self, topic_id: str) -> None:
        """The topic was created, and is empty."""
        log = GENERATION * (len(self.lives) + 1)
        self.lives.append(Life(log, topic_id, self._clock.wall() * 1000))

    def life_is_ending(self) -> None:
        """The topic is about to be deleted: what of it isn't done yet may never be."""
        for key in self.kinds["remade"]:
            self.due[key].may_wait = True

    def life_ended(self) -> None:
        """The topic is gone, and there is no other one yet."""
        self.lives[-1].ended = self._clock.wall() * 1000

    def log_of(self, topic_id: str, at: float) -> int | None:
        """Which life a commit of this time (Unix milliseconds) is of.

        None: it names a topic that was gone by then. Its offset may be one of the next topic,
        which a consumer reads for a while before it notices; nobody starts from it.

        Raises:
            StopIteration: no life of the topic had this id.
        """
        life = next(life for life in self.lives if life.topic_id == topic_id)
        return life.log if at <= life.ended else None
