"""CPU of the live monitor for an event: Kafka, intake, windows, detectors, publishing.

python -m bench.monitor_cpu [events] [--rate POSTS_A_MINUTE_AND_TRACK] [--profile FOLDER]

Writes events of 20 tracks (by topic) to an embedded Kafka, starts `emostream monitor`, and takes
its CPU (user and system, all threads, from /proc) from when it is active until its group has
committed nearly all. Linux only.
"""

import argparse
import asyncio
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from aiokafka import AIOKafkaProducer

from bench.flames import Flames
from bench.process import MeasuredProcess
from bench.stage import Stage, open_stage
from infra.kafka import create_topics, default_topics
from schemas import AffectEvent, ModelRef, Sentiment

TRACKS = 20
GROUP = "emostream-monitor"
_WORDS = ("train", "late", "again", "nice", "broken", "people", "think", "because", "morning")
_LEFT = 0.05
"""Of the events: the last minutes stay open, and aren't waited for."""


def made(count: int, rate: float) -> Iterator[AffectEvent]:
    """Events of 20 tracks, so many a minute each, that end about now; a third are negative."""
    draw = random.Random(1)
    every = timedelta(minutes=1) / (rate * TRACKS)
    at = datetime.now(UTC) - count * every
    for number in range(count):
        at += every
        negative = draw.random() < 0.33
        text = " ".join(draw.choices(_WORDS, k=18)) + f" {number}"
        yield AffectEvent(
            version=1,
            id=f"{number:08d}-6c3e-5d6f-9b43-0d3c2a0f5a10",
            post_id=f"post-{number}",
            source="bench",
            author=f"{draw.randrange(20_000):032x}",
            created_at=at,
            lang="en",
            topics=(f"track {draw.randrange(TRACKS)}",),
            text=text,
            sentiment=Sentiment(valence=draw.uniform(0.1, 0.4 if negative else 0.9)),
            emotions=("anger", "disgust") if negative else ("joy", "optimism"),
            intensity={"anger": 0.6} if negative else {"joy": 0.7},
            model=ModelRef(id="bench", revision="r1", server="http://127.0.0.1:8080"),
            processed_at=at + timedelta(seconds=1),
            prompts=3,
        )


async def write(stage: Stage, count: int, rate: float) -> None:
    """Write the events, in the order of their time, each to the partition of its post."""
    async with AIOKafkaProducer(
        bootstrap_servers=stage.bootstrap, compression_type="lz4", linger_ms=20
    ) as producer:
        for event in made(count, rate):
            await producer.send(
                "affect.events", msgspec.json.encode(event), key=event.post_id.encode()
            )
        await producer.flush()


async def measure(stage: Stage, count: int, folder: Path, flames: Flames | None) -> None:
    """Run the monitor over them and print what it cost."""
    env = {
        "EMOSTREAM_KAFKA__BOOTSTRAP": stage.bootstrap,
        "EMOSTREAM_MONITOR__PAGE__ENABLED": "false",
        "EMOSTREAM_MONITOR__HTTP__PORT": "0",
        "EMOSTREAM_LOG__FORMAT": "json",
    }
    process = MeasuredProcess("monitor", ("emostream", "monitor"), env, folder)
    try:
        while '"event": "active"' not in process.log.read_text():
            process.check()
            await asyncio.sleep(0.05)
        if flames is not None:
            flames.start(process.pid)
        first, began = process.costs(), time.monotonic()
        before = await stage.committed(GROUP)
        done = before
        while done < count * (1 - _LEFT):
            process.check()
            await asyncio.sleep(0.1)
            done = await stage.committed(GROUP)
        last, ended = process.costs(), time.monotonic()
        if flames is not None:
            await flames.end()
    finally:
        await process.stop()
    events, cpu = done - before, last.cpu_s - first.cpu_s
    print(
        f"{events} events: {events / (ended - began):,.0f} events/s,"
        f" {1e6 * cpu / events:.0f} µs of CPU an event, peak RSS {last.rss_mb:.0f} MB"
    )


async def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("events", type=int, nargs="?", default=60_000)
    parser.add_argument("--rate", type=float, default=16.0)
    parser.add_argument("--profile", type=Path)
    options = parser.parse_args()
    async with open_stage() as stage:
        specs = default_topics(partitions=4, replication_factor=1)
        await create_topics({"bootstrap_servers": stage.bootstrap}, specs)
        await write(stage, options.events, options.rate)
        flames = next(Flames.of(options.profile, "monitor", kinds=("raw",)), None)
        with TemporaryDirectory() as folder:
            await measure(stage, options.events, Path(folder), flames)


if __name__ == "__main__":
    asyncio.run(main())
