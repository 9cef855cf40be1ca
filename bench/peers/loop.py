"""A consumer as a good engineer writes it in an afternoon: aiokafka, an HTTP client, a loop.

    python -m bench.peers.loop CLIENT JOB

Batches of records, workers over a batch, commit when all of its events are acknowledged. It stops
at the first fault: no retry, no limit that adapts, no dead letter, no drain.
"""

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.peers.http import CLIENTS
from bench.peers.work import Ask, Job, process

_BATCH = 512
"""Records of a batch: more make no difference."""
_WORKERS = 40
"""Posts at once, three prompts each: as many as the connections take, so that none queues for one.
16 and 64 cost the same within the noise."""


async def main(client: str, job: Job) -> None:
    """Consume until killed."""
    consumer = AIOKafkaConsumer(
        job.posts,
        bootstrap_servers=job.bootstrap,
        group_id=job.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=job.bootstrap,
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
        linger_ms=5,
    )
    await consumer.start()
    await producer.start()
    async with CLIENTS[client](job.url) as ask:
        while True:
            fetched = await consumer.getmany(timeout_ms=200, max_records=_BATCH)
            records = iter([record for batch in fetched.values() for record in batch])
            sent: list[asyncio.Future[Any]] = []
            async with asyncio.TaskGroup() as workers:
                for _ in range(_WORKERS):
                    workers.create_task(_work(records, ask, producer, job.events, sent))
            await asyncio.gather(*sent)
            if fetched:
                await consumer.commit({tp: batch[-1].offset + 1 for tp, batch in fetched.items()})


async def _work(
    records: Iterator[Any],
    ask: Ask,
    producer: AIOKafkaProducer,
    events: str,
    sent: list[asyncio.Future[Any]],
) -> None:
    for record in records:
        id_ = f"{record.topic}/{record.partition}/{record.offset}"
        event = await process(record.value, id_, record.timestamp, ask)
        sent.append(await producer.send(events, event, key=record.key))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], msgspec.json.decode(sys.argv[2], type=Job)))
