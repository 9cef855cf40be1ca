"""The demo: start everything, send the rated tweets, watch them come out, close the books."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from consumer.settings import Settings
from emostream.demo.children import Child
from emostream.demo.summary import Summary, summarise
from emostream.demo.tally import Tally
from emostream.demo.watch import watch
from emostream.exits import CommandError
from infra.kafka import EmbeddedKafka, create_topics, default_topics
from producer import Broker, TweetsSettings, fetch_tweets, read_tweets, sample, send_tweets

_STALLED_S = 60.0
"""No news for this long ends the demo: something is stuck, and the summary says what is lost."""
_LOOK_S = 0.1
_DEFAULTS = Settings()  # the demo's topics are everybody's
_OUTPUT = {
    "events": _DEFAULTS.output.events_topic,
    "dead_letters": _DEFAULTS.output.dlq_topic,
}

Step = Callable[[str], None]


class DemoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to replay, and how."""

    posts: int
    rate: float | None
    """Posts a second; None: as fast as Kafka takes them."""
    folder: Path
    """Where the logs go."""
    seed: int = 7


async def run_demo(options: DemoOptions, tally: Tally, step: Step, started: float) -> Summary:
    """Run the whole pipeline once. `step` is told what is being waited for.

    Raises:
        CommandError: a part failed; quotes its log.
    """
    async with AsyncExitStack() as stack:
        step("starting Apache Kafka and the model server, fetching the rated tweets")
        async with asyncio.TaskGroup() as starting:
            fetching = starting.create_task(fetch_tweets())
            kafka_task = starting.create_task(_kafka(stack))
            server_task = starting.create_task(_model_server(stack, options))
        kafka, (server, url) = kafka_task.result(), server_task.result()
        where = f"Kafka at {kafka.bootstrap}, model server at {url}"
        step(f"{where}; starting the consumer")
        consumer = await _consumer(stack, options, kafka.bootstrap, url)
        step(f"{where}, consumer running")
        produce_started = time.time()
        work = asyncio.create_task(
            _send_and_wait(options, fetching.result(), kafka.bootstrap, tally)
        )
        parts = [
            asyncio.create_task(watch(kafka.bootstrap, tally, **_OUTPUT)),
            asyncio.create_task(server.failed()),
            asyncio.create_task(consumer.failed()),
        ]
        try:
            await asyncio.wait({work, *parts}, return_when=asyncio.FIRST_COMPLETED)
            for part in parts:
                if part.done():
                    raise CommandError(part.result() or "the output topics can't be read")
            sent = await work
        finally:
            for task in (work, *parts):
                task.cancel()
            await asyncio.gather(work, *parts, return_exceptions=True)
        step("stopping")
        if status := await consumer.stop():
            raise CommandError(f"the consumer ended with exit status {status}: {consumer.log}")
        return summarise(tally, sent=sent, produce_started=produce_started, command_started=started)


async def _send_and_wait(
    options: DemoOptions, tweets: Path, bootstrap: str, tally: Tally
) -> list[str]:
    """Send the tweets, wait until each came out or nothing does any more; the ids sent."""
    report = await send_tweets(
        TweetsSettings(count=options.posts, rate=options.rate, seed=options.seed),
        Broker(bootstrap=bootstrap),
        observer=tally.progress,
    )
    if report.failure or report.failed:
        raise CommandError(f"Kafka did not take all posts: {report.failure or report.errors}")
    seen, since = tally.out, time.monotonic()
    while tally.out < report.acked and time.monotonic() - since < _STALLED_S:
        await asyncio.sleep(_LOOK_S)
        if tally.out > seen:
            seen, since = tally.out, time.monotonic()
    # All were acknowledged, so these are the posts of the same draw.
    return [post.id for post in sample(read_tweets(tweets), options.posts, seed=options.seed)]


async def _kafka(stack: AsyncExitStack) -> EmbeddedKafka:
    kafka = await stack.enter_async_context(EmbeddedKafka())
    await create_topics({"bootstrap_servers": kafka.bootstrap}, default_topics())
    return kafka


async def _model_server(stack: AsyncExitStack, options: DemoOptions) -> tuple[Child, str]:
    child = await Child.start("model-server", ["serve", "--port", "0"], {}, options.folder)
    stack.push_async_callback(child.stop)
    line = await child.ready_line()
    return child, next(word for word in line.split() if word.startswith("http://"))


async def _consumer(stack: AsyncExitStack, options: DemoOptions, bootstrap: str, url: str) -> Child:
    env = {
        "EMOSTREAM_KAFKA__BOOTSTRAP": bootstrap,
        "EMOSTREAM_MODEL__SERVERS": url,
        "EMOSTREAM_HTTP__PORT": "0",
        "EMOSTREAM_LOG__FORMAT": "json",
    }
    child = await Child.start("consumer", ["consume"], env, options.folder)
    stack.push_async_callback(child.stop)
    await child.ready_line()
    return child
