"""What tracing costs a post: off, on as it comes (1 % of the batches), and everything recorded.

    python -m bench.tracing_cost [--rounds 5] [--posts 20000]

The whole consumer against an embedded Kafka, the stub of `make bench` and a collector that takes
everything, each in a process of its own; only the consumer's CPU counts, its exporting thread
included. Each post has a `traceparent`, of which one in a hundred is sampled. By turns, medians.
"""

import argparse
import asyncio
import random
import tempfile
from pathlib import Path
from statistics import median

import msgspec
from aiohttp import web
from aiokafka import AIOKafkaProducer

from bench.model.server import ModelServer
from bench.peers.race import OURS, Race
from bench.report import say
from bench.stage import POSTS, Stage, open_stage
from emostream.logs import quiet_logs
from producer.synthetic import synthetic_post


async def _send(stage: Stage, count: int) -> None:
    draw = random.Random(1)
    async with AIOKafkaProducer(
        bootstrap_servers=stage.bootstrap, compression_type="lz4", linger_ms=20
    ) as producer:
        for number in range(count):
            post = synthetic_post(draw, id_=f"p{number}", size=120)
            sampled = int(draw.random() < 0.01)
            parent = f"00-{draw.getrandbits(128) | 1:032x}-{number + 1:016x}-{sampled:02x}"
            headers = [("traceparent", parent.encode())]
            await producer.send(
                POSTS, msgspec.json.encode(post), key=post.id.encode(), headers=headers
            )
        await producer.flush()


async def _measure(rounds: int, posts: int, folder: Path) -> None:
    taken = 0

    async def take(request: web.Request) -> web.Response:
        nonlocal taken
        taken += len(await request.read())
        return web.Response(content_type="application/x-protobuf")

    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}"
    ways: dict[str, dict[str, str]] = {
        "off": {},
        "on, 1 %": {"tracing.endpoint": endpoint},
        "on, everything": {"tracing.endpoint": endpoint, "tracing.sample_ratio": "1"},
    }
    spent: dict[str, list[float]] = {way: [] for way in ways}
    try:
        async with open_stage() as stage:
            with ModelServer() as server:
                await stage.make_topics(posts=POSTS, events="warm-up")
                await _send(stage, posts)
                race = Race(stage, server, posts, folder)
                for number in range(rounds + 1):
                    for way, settings in ways.items():
                        before = taken
                        run = await race.run(OURS, f"{way}-{number}", settings=settings)
                        say(f"{number}: {way}: {run.cpu_ms:.4f} ms, {taken - before} bytes taken")
                        if number:
                            spent[way].append(run.cpu_ms)
    finally:
        await runner.cleanup()
    off = median(spent["off"])
    for way, values in spent.items():
        # Of each round's own pair: what else ran on the machine is in both.
        pairs = [value / other for value, other in zip(values, spent["off"], strict=True)]
        print(
            f"{way}: {median(values):.4f} ms of CPU a post ({min(values):.4f} to"
            f" {max(values):.4f}), {median(values) / off:.3f} of off, by rounds"
            f" {median(pairs):.3f} ({min(pairs):.3f} to {max(pairs):.3f})"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="after a warm-up")
    parser.add_argument("--posts", type=int, default=20_000)
    args = parser.parse_args()
    quiet_logs()
    with tempfile.TemporaryDirectory(prefix="emostream-bench-") as folder:
        asyncio.run(_measure(args.rounds, args.posts, Path(folder)))


if __name__ == "__main__":
    main()
