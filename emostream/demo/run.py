"""The demo: start everything, send the story, watch it come out, close the books."""

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from consumer.settings import Settings
from emostream.demo.children import Child
from emostream.demo.live import LiveChoice, send_live
from emostream.demo.send import Sender, UnderWay, thinned
from emostream.demo.story import SPEED, Planned, Role, Story, tell
from emostream.demo.summary import Summary, summarise
from emostream.demo.tally import Tally
from emostream.demo.watch import watch
from emostream.exits import CommandError
from infra.kafka import EmbeddedKafka, create_topics, default_topics
from producer import fetch_tweets, read_tweets
from producer.live.bluesky.run import check_reachable
from runtime.kafka.connection import Broker
from runtime.kafka.producing import BoundedProducer, kafka_producer

_STALLED_S = 60.0
"""No news for this long ends the demo: something is stuck, and the summary says what is lost."""
_SETTLE_S = 5.0
"""After the last event, for an alert's last transition; it is minutes of event time."""
_DEFAULTS = Settings()  # the demo's topics are everybody's
_LATENESS_S = 120
"""In compressed time half a second on the way is half a minute: the default would call it late."""
_OUT_OF_ORDER_S = 2
"""The same two minutes, by the clock."""
_LEARN_S = 35.0
"""For the history: with the live part, the demo is over 90 seconds after the first event."""
_MEASURED = 150
"""Posts that tell how fast this machine is."""
_WARM_S = 3_600
"""The story's hours before are few; its hours don't differ."""


class DemoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to send, and how."""

    posts: int
    rate: float | None
    """Posts of history a second; None: as fast as they are read."""
    folder: Path
    """Where the logs go."""
    file: Path | None = None
    """One's own posts, instead of the story."""
    port: int = 0
    """The page's; 0 takes a free one."""
    live: LiveChoice | None = None
    """Posts that are written now, instead of the story."""
    seed: int = 7


class Screen(msgspec.Struct, kw_only=True):
    """How the run tells whoever looks on what it is doing."""

    step: Callable[[str], None]
    """What is going on, in a line."""
    page: Callable[[str], None]
    """Where the page is served."""
    changed: Callable[[], None]
    """Something was counted."""


class Demo:
    """One run of the whole pipeline."""

    def __init__(
        self, options: DemoOptions, tally: Tally, screen: Screen, *, started: float
    ) -> None:
        self._options = options
        self._tally = tally
        self._screen = screen
        self._started = started
        self._acked: list[str] = []
        self._produce_started = started
        self._story: Story | None = None
        self._news = asyncio.Event()
        self.finished = False
        """Whether all was sent and came out: what is left then is the page."""

    def summary(self, *, interrupted: bool = False) -> Summary:
        """Close the books on what was sent so far."""
        return summarise(
            self._tally,
            sent=self._acked,
            storm_at=self._story.storm_at if self._story is not None else None,
            produce_started=self._produce_started,
            command_started=self._started,
            interrupted=interrupted,
        )

    async def run(self, *, stay: bool) -> None:
        """Run it once; with `stay` the page stays up until this is cancelled.

        Raises:
            CommandError: a part failed; quotes its log.
        """
        screen, options = self._screen, self._options
        if options.live is not None:
            screen.step("looking whether Bluesky can be reached")
            await check_reachable(options.live.urls)
        async with AsyncExitStack() as stack:
            tweets = "" if options.live else ", fetching the rated tweets"
            screen.step(f"starting Apache Kafka and the model server{tweets}")
            async with asyncio.TaskGroup() as starting:
                fetching = starting.create_task(self._tell())
                kafka_task = starting.create_task(_kafka(stack))
                server_task = starting.create_task(_model_server(stack, options))
            kafka, (server, url) = kafka_task.result(), server_task.result()
            self._story = fetching.result()
            screen.step("Kafka and the model server run; starting the consumer and the monitor")
            async with asyncio.TaskGroup() as starting:
                consumer_task = starting.create_task(
                    _consumer(stack, options, kafka.bootstrap, url)
                )
                monitor_task = starting.create_task(_monitor(stack, options, kafka.bootstrap))
            consumer, (monitor, page) = consumer_task.result(), monitor_task.result()
            screen.page(page)
            work = asyncio.create_task(self._send_and_wait(kafka.bootstrap))
            parts = [
                asyncio.create_task(self._watch(kafka.bootstrap)),
                *(asyncio.create_task(child.failed()) for child in (server, consumer, monitor)),
            ]
            try:
                await asyncio.wait({work, *parts}, return_when=asyncio.FIRST_COMPLETED)
                for part in parts:
                    if part.done():
                        raise CommandError(part.result() or "the output topics can't be read")
                await work
                self.finished = True
                if stay:
                    screen.step(f"done; the page stays up at {page} until Ctrl-C")
                    await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (work, *parts):
                    task.cancel()
                await asyncio.gather(work, *parts, return_exceptions=True)
            screen.step("stopping")
            if status := await consumer.stop():
                raise CommandError(f"the consumer ended with exit status {status}: {consumer.log}")

    async def _tell(self) -> Story:
        options = self._options
        if options.live is not None:
            return Story(planned=(), storm_at=None)
        if options.file is not None:
            from emostream.demo.own_posts import read_own

            return await read_own(options.file, options.posts, rate=options.rate)
        tweets = read_tweets(await fetch_tweets())
        return tell(tweets, options.posts, seed=options.seed, now=datetime.now(UTC))

    async def _watch(self, bootstrap: str) -> None:
        def seen() -> None:
            self._news.set()
            self._screen.changed()

        await watch(
            bootstrap,
            self._tally,
            events=_DEFAULTS.output.events_topic,
            dead_letters=_DEFAULTS.output.dlq_topic,
            alerts="affect.alerts",
            seen=seen,
        )

    async def _send_and_wait(self, bootstrap: str) -> None:
        """Send the story; return once each post came out, or nothing does any more."""
        story, tally, screen = self._story, self._tally, self._screen
        if self._options.live is not None:
            screen.step("live: Bluesky's posts as they are written")
            self._produce_started = time.time()
            await send_live(
                self._options.live, tally, self._acked, bootstrap, posts=self._options.posts
            )
            screen.step("all posts are sent; waiting for the last events")
            await self._until_out(len(self._acked))
            return
        assert story is not None
        async with kafka_producer(Broker(bootstrap=bootstrap), topics=["posts"]) as producer:
            sends = BoundedProducer(producer)
            sender = Sender(sends, tally, "posts")
            self._acked = sender.acked
            self._produce_started = time.time()
            history = story.of("history")
            if history:
                screen.step(f"{len(history):,} posts of the hours before: the monitor learns")
                await self._learn(sender, history)
            live = story.of("calm", "storm")
            if live:
                await sender.play(live, self._begins)
            if sends.failed:
                raise CommandError(f"Kafka did not take all posts: {dict(sends.errors)}")
            screen.step("all posts are sent; waiting for the last events")
            await self._until_out(len(sender.acked))
        if story.storm_at is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_SETTLE_S):
                    while any(a.transition == "firing" for a in tally.alerts.values()):
                        await self._next_news()

    async def _learn(self, sender: Sender, history: Sequence[Planned]) -> None:
        """Send the hours before: on a slow machine fewer of their posts, over the same hours."""
        first, rest = history[:_MEASURED], history[_MEASURED:]
        begun = time.monotonic()
        await self._feed(sender, first)
        seconds = time.monotonic() - begun
        room = round(len(first) / seconds * max(0.0, _LEARN_S - seconds))
        await self._feed(sender, thinned(rest, room))

    async def _feed(self, sender: Sender, history: Sequence[Planned]) -> None:
        """Never so many at once that the monitor would call some of them late."""
        under_way = UnderWay(self._tally.ended, timedelta(seconds=_LATENESS_S))

        async def room(one: Planned) -> None:
            with suppress(TimeoutError):  # of what doesn't come out, the summary tells
                async with asyncio.timeout(_STALLED_S):
                    while not under_way.takes(one):
                        await self._next_news()
            under_way.add(one)

        await sender.burst(history, self._options.rate, room)
        await self._until_out(len(sender.acked))

    def _begins(self, role: Role) -> None:
        speed = f"one second plays {SPEED / 60:.0f} minute"
        if self._options.file is not None:
            self._screen.step("your own posts")
        elif role == "storm":
            self._screen.step(f"something goes wrong at an airline ({speed})")
        else:
            self._screen.step(f"now live: {speed} of event time")

    async def _until_out(self, wanted: int) -> None:
        """Wait until so many posts came out, or none did for a minute."""
        with suppress(TimeoutError):
            while self._tally.out < wanted:
                before = self._tally.out
                async with asyncio.timeout(_STALLED_S):
                    while self._tally.out == before:
                        await self._next_news()

    async def _next_news(self) -> None:
        self._news.clear()
        await self._news.wait()


async def _kafka(stack: AsyncExitStack) -> EmbeddedKafka:
    kafka = await stack.enter_async_context(EmbeddedKafka())
    await create_topics({"bootstrap_servers": kafka.bootstrap}, default_topics())
    return kafka


async def _model_server(stack: AsyncExitStack, options: DemoOptions) -> tuple[Child, str]:
    child = await Child.start("model-server", ["serve", "--port", "0"], {}, options.folder)
    stack.push_async_callback(child.stop)
    return child, _url(await child.ready_line())


async def _consumer(stack: AsyncExitStack, options: DemoOptions, bootstrap: str, url: str) -> Child:
    env = {
        "EMOSTREAM_KAFKA__BOOTSTRAP": bootstrap,
        "EMOSTREAM_MODEL__SERVERS": url,
        "EMOSTREAM_HTTP__PORT": "0",
        "EMOSTREAM_LOG__FORMAT": "json",
        # Of this run alone: made-up authors need no pseudonym that outlives it.
        "EMOSTREAM_OUTPUT__AUTHOR_KEY": secrets.token_hex(32),
    }
    child = await Child.start("consumer", ["consume"], env, options.folder)
    stack.push_async_callback(child.stop)
    await child.ready_line()
    return child


async def _monitor(
    stack: AsyncExitStack, options: DemoOptions, bootstrap: str
) -> tuple[Child, str]:
    env = {
        "EMOSTREAM_KAFKA__BOOTSTRAP": bootstrap,
        "EMOSTREAM_LOG__FORMAT": "json",
        "EMOSTREAM_MONITOR__HTTP__PORT": "0",
        "EMOSTREAM_MONITOR__PAGE__PORT": str(options.port),
    }
    if options.live is None:  # in compressed time
        env |= {
            "EMOSTREAM_MONITOR__LATENESS_S": str(_LATENESS_S),
            "EMOSTREAM_MONITOR__OUT_OF_ORDER_S": str(_OUT_OF_ORDER_S),
            "EMOSTREAM_MONITOR__WARM_S": str(_WARM_S),
            "EMOSTREAM_MONITOR__HISTORY": "alert",
        }
    child = await Child.start("monitor", ["monitor"], env, options.folder)
    stack.push_async_callback(child.stop)
    return child, _url(await child.ready_line())


def _url(line: str) -> str:
    return next(word.rstrip(",") for word in line.split() if word.startswith("http://"))
