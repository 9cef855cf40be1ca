"""From items to records: new versions, tombstones of what was sent, and how far all is safe."""

import asyncio
from collections.abc import Callable
from functools import partial

import msgspec
from aiokafka.errors import MessageSizeTooLargeError

from emollm.prompts import is_blank
from producer.live import metrics as m
from producer.live.headers import LiveHeaders
from producer.live.items import EMPTY, KNOWN, TOO_LARGE, Found, Gone, Item
from producer.live.mark import Mark
from producer.live.meter import Kind, Meter
from producer.live.sent import Sent, digest_of
from runtime.kafka.errors import DeliveryStalled, KafkaFault, RecordTooLarge
from runtime.kafka.producing import BoundedProducer, Outgoing

_encode = msgspec.json.Encoder().encode

MAX_RECORD_BYTES = 256 * 1024
"""A post has some hundred bytes, a feed's article some thousands. Well below a topic's 1 MB, for a
record that the broker refuses would break the producer's sequence with all that is in flight."""


class Publisher:
    """Writes the items of all sources of a run, until a record is not delivered."""

    def __init__(
        self,
        sends: BoundedProducer,
        topic: str,
        *,
        sent: Sent,
        marks: dict[str, Mark],
        meter: Meter,
        on_ack: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`marks` has one for each source; `sent` is what earlier runs sent, as far as known.

        `on_ack` is called with the id of each post that Kafka acknowledged.
        """
        self._on_ack = on_ack
        self._sends = sends
        self._topic = topic
        self._sent = sent
        self._marks = marks
        self._meter = meter
        self.broken: asyncio.Future[KafkaFault] = asyncio.get_running_loop().create_future()
        """Done, with the reason, once a record was not delivered: the producer can't go on."""

    async def publish(self, source: str, item: Item) -> None:
        """Write what an item calls for, after waiting for room.

        Raises:
            DeliveryStalled: nothing was acknowledged for the delivery timeout.
        """
        self._meter.came(source, item)
        if isinstance(item, Found):
            await self._found(source, item)
        elif isinstance(item, Gone):
            await self._gone(source, item)
        else:
            self._skip(source, item.reason, item.position)

    async def _found(self, source: str, item: Found) -> None:
        key = item.post.id
        if not item.version and self._sent.is_anothers(key, source):
            # Two feeds with one entry: nothing says which text is newer, and each poll finds both.
            self._skip(source, KNOWN, item.position)
            return
        value = _encode(item.post)
        digest = digest_of(value)
        reason = (
            EMPTY
            if is_blank(item.post.text)
            else TOO_LARGE
            if len(value) > MAX_RECORD_BYTES
            else None
        )
        if reason is not None:  # an edit to this takes the version before it back
            gone = Gone(key=key, version=item.version, reason=reason, position=item.position)
            await self._gone(source, gone)
            return
        if not self._sent.is_news(key, item.version, digest):
            self._skip(source, KNOWN, item.position)
            return
        kind: Kind = "edit" if key in self._sent else "post"
        self._sent.remember(
            key,
            source=source,
            version=item.version,
            digest=digest,
            author=item.post.author or "",
            alias=item.alias,
        )
        await self._send(source, item, key, value, kind)

    async def _gone(self, source: str, item: Gone) -> None:
        keys = [item.key or self._sent.named(item.alias)]
        if item.author:
            keys = self._sent.by_author(item.author)
        deleted = [key for key in keys if key and self._sent.delete(key, item.version)]
        if not deleted:
            self._skip(source, item.reason, item.position)
            return
        for key in deleted:
            await self._send(source, item, key, None, "delete")

    async def _send(
        self, source: str, item: Found | Gone, key: str, value: bytes | None, kind: Kind
    ) -> None:
        mark = self._marks[source]
        ticket = mark.sent(item.position)
        headers = LiveHeaders(
            source=source,
            watermark=mark.with_acknowledged(ticket),
            position=item.position,
            version=item.version,
            alias=item.alias if isinstance(item, Found) else "",
        )
        record = Outgoing(
            topic=self._topic, key=key.encode(), value=value, headers=headers.encoded()
        )
        await self._sends.send(
            record,
            on_ack=partial(self._acknowledged, source, ticket, kind, key),
            on_fail=self._failed,
        )
        self._meter.counts.put(m.IN_FLIGHT, value=self._sends.in_flight)

    def _skip(self, source: str, reason: str, position: int | None) -> None:
        self._marks[source].passed(position)
        self._meter.skip(source, reason)

    def _acknowledged(self, source: str, ticket: int, kind: Kind, key: str) -> None:
        self._marks[source].acknowledged(ticket)
        self._meter.wrote(source, kind)
        self._meter.counts.put(m.IN_FLIGHT, value=self._sends.in_flight)
        self._on_ack(key)

    def _failed(self, error: BaseException) -> None:
        if self.broken.done():
            return
        if isinstance(error, MessageSizeTooLargeError):
            fault: KafkaFault = RecordTooLarge(
                f"topic {self._topic} refuses a post for its size: raise the topic's"
                f" max.message.bytes to {2 * MAX_RECORD_BYTES:,} or more"
            )
        else:
            name = type(error).__name__
            fault = DeliveryStalled(f"topic {self._topic} did not take a record ({name})")
        self.broken.set_result(fault)
