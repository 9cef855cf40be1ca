"""The command on a real Apache Kafka: killed, it goes on from what was acknowledged."""

import asyncio
import signal
from collections import Counter
from typing import Any

import msgspec
from aiohttp import ClientSession, web

from infra.kafka import EmbeddedKafka
from producer.live.headers import LiveHeaders
from runtime.clock import SystemClock
from runtime.kafka.connection import Broker
from runtime.kafka.producing import kafka_producer
from tests.process import emostream
from tests.producer.conftest import MakeTopic
from tests.producer.live.jetstream_server import (
    JetstreamServer,
    event,
    faithful,
    jetstream,
    post_id,
    send,
    stay,
)
from tests.topics import stored_records

COUNT, STEP_US = 1_500, 100_000


async def begin(bootstrap: str, topic: str, at_us: int) -> None:
    async with kafka_producer(Broker(bootstrap=bootstrap), topics=[topic]) as producer:
        headers = list(LiveHeaders(source="bluesky", watermark=at_us).encoded())
        await (await producer.send(topic, key=b"before", value=b"{}", headers=headers))


async def test_killed_in_full_flight_it_goes_on_and_nothing_is_missing(
    kafka: EmbeddedKafka, make_topic: MakeTopic
) -> None:
    topic = await make_topic(partitions=3)
    start = int(SystemClock().wall() * 1e6) - COUNT * STEP_US
    await begin(kafka.bootstrap, topic, start)
    log = [event(number, start + number * STEP_US) for number in range(COUNT)]
    half_way = asyncio.Event()

    async def half(
        server: JetstreamServer, socket: web.WebSocketResponse, cursor: int | None
    ) -> None:
        for number, message in enumerate(server.after(cursor)):
            if number == COUNT // 2:
                process.signal(signal.SIGSTOP)  # else it may have written all before it is killed
                half_way.set()
            await send(socket, message)
        await stay(socket)

    async with jetstream(log, half, faithful) as server:
        words = ["produce", "bluesky", "--host", server.url, "--topic", topic]
        words += ["--bootstrap", kafka.bootstrap, "--http-port", "0"]
        async with emostream(*words) as process:
            await half_way.wait()
            await process.kill()
        assert len(await _seen(topic, kafka.bootstrap)) < COUNT
        async with emostream(*words) as process:
            health = await process.wait_for_event("health_listens")
            await process.wait_for_event("source_connected")
            async with asyncio.timeout(60):
                while len(seen := await _seen(topic, kafka.bootstrap)) < COUNT:
                    assert process.status is None, process.output
            metrics, ready = await _asked(health["url"])
            assert await process.stop() == 0, process.output
    assert set(seen) == {post_id(number) for number in range(COUNT)}
    assert sum(seen.values()) - COUNT <= 10_000_000 // STEP_US + 1  # within the rewind
    assert "posts, 0 edits and 0 deletions written" in process.stdout[-1]
    assert ready["ready"]
    assert 'emostream_live_records_total{kind="post",source="bluesky"}' in metrics
    assert 'emostream_live_lag_seconds{source="bluesky"}' in metrics
    assert 'emostream_live_skipped_total{reason="lang",source="bluesky"} 0.0' in metrics
    assert "post 1" not in process.output  # no log line quotes a post


async def _seen(topic: str, bootstrap: str) -> Counter[str]:
    records = await stored_records(topic, bootstrap)
    return Counter((record.key or b"").decode() for record in records if record.key != b"before")


async def _asked(url: str) -> tuple[str, Any]:
    async with ClientSession() as session:
        async with session.get(f"{url}/metrics") as response:
            metrics = await response.text()
        async with session.get(f"{url}/readyz") as response:
            return metrics, msgspec.json.decode(await response.read())
