"""The same work as a FastStream application, set to be as cheap as it gets.

    python -m bench.peers.framework workers|batch JOB

`workers`: a message at a time, many at once (`max_workers`; offsets are committed by time, done or
not: its only way to work on a partition concurrently), the event returned to a publisher. `batch`:
lists of messages, acknowledged when the handler is done, which works on them and publishes as the
hand-written loop does. Types aren't validated, nothing is logged, msgspec decodes.
"""

import asyncio
import sys
from typing import Any

import msgspec
import uvloop
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker, KafkaMessage, KafkaResponse

from bench.peers.http import aiohttp_client
from bench.peers.work import Ask, Job, process

_WORKERS = 40
"""As in the hand-written loop; 16, 64 and 256 cost the same or more."""
_BATCH = 512


class Given(msgspec.Struct):
    """A message as the handler takes it."""

    key: bytes
    value: bytes
    id: str
    created_ms: int


async def _decode(message: KafkaMessage) -> Given:
    return _given(message.raw_message)


async def _decode_batch(message: KafkaMessage) -> list[Given]:
    return [_given(record) for record in message.raw_message]


def _given(record: Any) -> Given:
    id_ = f"{record.topic}/{record.partition}/{record.offset}"
    return Given(record.key, record.value, id_, record.timestamp)


async def main(how: str, job: Job) -> None:
    """Consume until SIGTERM."""
    broker = KafkaBroker(
        job.bootstrap,
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
        linger_ms=5,
        apply_types=False,
        logger=None,
    )
    async with aiohttp_client(job.url) as ask:
        if how == "batch":
            _take_batches(broker, job, ask)
        else:
            _take_messages(broker, job, ask)
        await FastStream(broker, logger=None).run()


def _take_messages(broker: KafkaBroker, job: Job, ask: Ask) -> None:
    @broker.subscriber(  # type: ignore[untyped-decorator]
        job.posts,
        group_id=job.group,
        auto_offset_reset="earliest",
        max_workers=_WORKERS,
        decoder=_decode,
    )
    @broker.publisher(job.events)  # type: ignore[untyped-decorator]
    async def handle(post: Given) -> KafkaResponse:
        event = await process(post.value, post.id, post.created_ms, ask)
        return KafkaResponse(event, key=post.key)


def _take_batches(broker: KafkaBroker, job: Job, ask: Ask) -> None:
    publisher = broker.publisher(job.events)

    @broker.subscriber(  # type: ignore[untyped-decorator]
        job.posts,
        group_id=job.group,
        auto_offset_reset="earliest",
        batch=True,
        max_records=_BATCH,
        decoder=_decode_batch,
        ack_policy=AckPolicy.ACK,
    )
    async def handle(posts: list[Given]) -> None:
        todo, sent = iter(posts), list[Any]()

        async def work() -> None:
            for post in todo:
                event = await process(post.value, post.id, post.created_ms, ask)
                sent.append(await publisher.publish(event, key=post.key, no_confirm=True))

        async with asyncio.TaskGroup() as workers:
            for _ in range(_WORKERS):
                workers.create_task(work())
        await asyncio.gather(*sent)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], msgspec.json.decode(sys.argv[2], type=Job)))
