"""Kafka's faults and crashes: what it didn't acknowledge is sent again, and little else."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from producer.live import LiveSettings, SourceFailed, SourceRefused
from producer.live.items import Found, Gone, Item
from producer.live.log_events import PROGRESS
from producer.live.meter import Meter
from producer.live.metrics import CONNECTED
from producer.live.outlet import Opened
from producer.live.service import run_live
from producer.live.source import SourceWatcher
from runtime.clock import SystemClock, Timer
from runtime.kafka.connection import Broker
from runtime.kafka.errors import Denied, TopicMissing, Unreachable
from runtime.settings.telemetry import Http
from tests.producer.live.memory_kafka import HastyClock, MemoryKafka, run
from tests.producer.live.scripted import ScriptedSource, found, gone, made, passed
from tests.runtime.fake_clock import FakeClock


def now_us() -> int:
    return int(SystemClock().wall() * 1e6)


async def test_after_a_send_that_failed_all_goes_on_at_the_watermark() -> None:
    start = now_us() - 1_000_000
    items = [found(number, start + number) for number in range(50)]
    source = ScriptedSource(items)
    kafka = MemoryKafka()
    kafka.begin("scripted", start)
    lost = iter([True])
    kafka.lose = lambda key: key == b"p30" and next(lost, False)
    report = await run(
        made(source),
        kafka,
        names=["scripted"],
        until=lambda: {f"p{n}" for n in range(50)} <= set(kafka.keys()),
        clock=HastyClock(),
    )
    assert report.failure is None
    assert set(kafka.keys()) == {"before", *(f"p{n}" for n in range(50))}
    assert len(source.sinces) == 2
    assert source.sinces[1] <= start + 30


class ConnectedSource(ScriptedSource):
    """Tells that it is connected, as the real ones do."""

    def __init__(self, items: Sequence[Item], watcher: SourceWatcher) -> None:
        super().__init__(items)
        self._watcher = watcher

    async def items(self, since: int) -> AsyncGenerator[Item, None]:
        self._watcher.connected(self.name, "host")
        async with aclosing(super().items(since)) as items:
            async for item in items:
                yield item


class WatchedKafka(MemoryKafka):
    """Notes at each opening after the first whether a source is told as connected then."""

    def __init__(self, connected: Callable[[], float]) -> None:
        super().__init__()
        self.meanwhile: list[float] = []
        self._connected = connected

    @asynccontextmanager
    async def open(self, sources: Collection[str]) -> AsyncIterator[Opened]:
        if self.opened:
            self.meanwhile.append(self._connected())
        async with super().open(sources) as opened:
            yield opened


async def test_no_source_is_told_as_connected_while_kafka_is_away() -> None:
    start = now_us() - 1_000_000
    meters: list[Meter] = []

    def connected() -> float:
        return meters[0].counts.value(CONNECTED, "scripted")

    kafka = WatchedKafka(connected)
    kafka.begin("scripted", start)
    lost = iter([True])
    kafka.lose = lambda key: key == b"p1" and next(lost, False)
    stop = asyncio.Event()
    running = asyncio.create_task(
        run_live(
            lambda watcher: [ConnectedSource([found(n, start + n) for n in range(3)], watcher)],
            LiveSettings(http=Http(port=0)),
            Broker(),
            names=["scripted"],
            stop=stop,
            on_start=meters.append,
            outlet=kafka,
            clock=HastyClock(),
        )
    )
    await kafka.has(lambda: kafka.holds("p1") and kafka.holds("p2"))
    assert connected() == 1
    stop.set()
    assert (await running).failure is None
    assert kafka.meanwhile == [0]
    assert connected() == 0


async def test_an_edit_or_a_deletion_overtaken_by_a_replay_stays() -> None:
    at = now_us()
    items: list[Item] = [
        found(1, at + 1, version="1"),
        found(1, at + 2, version="2", text="edited"),
        found(2, at + 3),
        gone(2, at + 4),
        found(3, at + 5),
    ]
    kafka = MemoryKafka()
    for number in (4, 5):
        items.append(found(number, at + 2 + number))
        source = ScriptedSource(items, rewind=1_000_000)
        await run(made(source), kafka, names=["scripted"], until=partial(kafka.holds, f"p{number}"))
    assert msgspec.json.decode(kafka.newest()["p1"] or b"")["text"] == "edited"
    assert kafka.newest()["p2"] is None
    assert kafka.keys().count("p1") == 2
    assert kafka.keys().count("p2") == 2


async def test_a_deletion_finds_a_post_of_the_run_before_by_its_other_name_too() -> None:
    at, kafka = now_us(), MemoryKafka()
    first = ScriptedSource([found(1, at), found(2, at + 1)])
    await run(made(first), kafka, names=["scripted"], until=lambda: kafka.holds("p2"))
    items: list[Item] = [Gone(alias="alias1", position=at + 2), found(3, at + 3)]
    await run(
        made(ScriptedSource(items)), kafka, names=["scripted"], until=lambda: kafka.holds("p3")
    )
    assert kafka.newest()["p1"] is None
    assert kafka.newest()["p2"] is not None


async def test_what_is_passed_over_needs_no_record_to_be_behind_us() -> None:
    at, kafka = now_us() - 1_000_000, MemoryKafka()
    kafka.begin("scripted", at)
    items: list[Item] = [*(passed(at + n) for n in range(100)), found(2, at + 50)]
    await run(
        made(ScriptedSource(items)), kafka, names=["scripted"], until=lambda: kafka.holds("p2")
    )
    later = ScriptedSource([found(3, at + 300)])
    await run(made(later), kafka, names=["scripted"], until=lambda: kafka.holds("p3"))
    assert later.sinces == [at + 99]


async def test_two_sources_of_one_topic_go_on_each_at_its_own_place() -> None:
    at, kafka = now_us() - 2_000_000, MemoryKafka()
    kafka.begin("one", at)
    kafka.begin("two", at)
    one = ScriptedSource([found(n, at + n) for n in range(1, 6)], name="one")
    two = ScriptedSource([found(10 + n, at + 1_000_000 + n) for n in range(5)], name="two")
    await run(made(one, two), kafka, names=["one", "two"], until=lambda: len(kafka.records) == 12)
    again = (ScriptedSource([], name="one"), ScriptedSource([found(99, now_us())], name="two"))
    await run(made(*again), kafka, names=["one", "two"], until=lambda: kafka.holds("p99"))
    assert again[0].sinces[0] <= at + 5
    assert at <= again[1].sinces[0] <= at + 1_000_005


async def test_a_source_that_was_away_for_long_is_told_since_when() -> None:
    """It goes on at the oldest that it has, and tells what is missing."""
    at, kafka = now_us() - 72 * 3_600_000_000, MemoryKafka()
    kafka.begin("scripted", at)
    kafka.age(72 * 3600)
    source = ScriptedSource([found(1, now_us())])
    await run(made(source), kafka, names=["scripted"], until=lambda: kafka.holds("p1"))
    assert source.sinces == [at]


async def test_a_place_in_the_future_is_not_believed() -> None:
    at, kafka = now_us(), MemoryKafka()
    hour = 3_600_000_000
    first = ScriptedSource([found(1, at + hour), found(2, at + hour + 1)])
    await run(made(first), kafka, names=["scripted"], until=lambda: kafka.holds("p2"))
    second = ScriptedSource([found(3, at + 2 * hour)])
    await run(made(second), kafka, names=["scripted"], until=lambda: kafka.holds("p3"))
    assert second.sinces[0] <= now_us()


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Unreachable("no broker"), 1),
        (TopicMissing("no topic; create it"), 2),
        (Denied("wrong password"), 3),
    ],
)
async def test_a_start_without_kafka_fails_at_once(fault: Exception, status: int) -> None:
    kafka = MemoryKafka()
    kafka.away = [fault]  # type: ignore[list-item]
    report = await run(made(ScriptedSource([])), kafka, names=["scripted"], until=lambda: False)
    assert (report.exit_code, report.failure) == (status, str(fault))


class _Soon(SystemClock):
    """Real time, in which nobody waits five minutes."""

    def call_later(self, delay_s: float, call: Callable[[], None]) -> Timer:
        return super().call_later(0.0 if delay_s == 300.0 else delay_s, call)


async def test_a_source_that_is_down_at_the_start_is_tried_again_beside_others() -> None:
    at, kafka = now_us(), MemoryKafka()

    class Down(ScriptedSource):
        tries = 0

        async def items(self, since: int) -> AsyncGenerator[Item, None]:
            self.tries += 1
            if self.tries < 3:
                raise SourceFailed("HTTP status 503")
            async with aclosing(super().items(since)) as items:
                async for item in items:
                    yield item

    sources = Down([found(1, at)], name="down"), ScriptedSource([found(2, at)], name="works")
    report = await run(
        made(*sources),
        kafka,
        names=["down", "works"],
        until=lambda: {"p1", "p2"} <= set(kafka.keys()),
        clock=_Soon(),
    )
    assert report.failure is None


@pytest.mark.parametrize("refused", [False, True])
async def test_where_no_source_works_the_run_ends(*, refused: bool) -> None:
    error = SourceRefused("wrong token") if refused else SourceFailed("no such name")
    sources = (
        ScriptedSource([], name="one", ends=SourceFailed("no host")),
        ScriptedSource([found(1, now_us())], name="two", ends=error),
    )
    report = await run(made(*sources), MemoryKafka(), names=["one", "two"], until=lambda: False)
    assert (report.exit_code, report.failure) == (3 if refused else 1, str(error))


async def test_a_source_that_ends_leaves_the_others_alone_and_the_last_ends_the_run() -> None:
    at, kafka = now_us(), MemoryKafka()
    ends = ScriptedSource([], name="ends", ends=SourceRefused("no such page"))
    lasts = ScriptedSource([found(1, at)], name="lasts")
    report = await run(
        made(ends, lasts), kafka, names=["ends", "lasts"], until=lambda: kafka.holds("p1")
    )
    assert report.failure is None
    alone = ScriptedSource([found(2, at + 1)], ends=SourceRefused("wrong token"))
    report = await run(made(alone), kafka, names=["scripted"], until=lambda: False)
    assert (report.exit_code, report.failure) == (3, "wrong token")
    assert kafka.holds("p2")  # what it gave before is written


async def test_a_source_that_a_library_cancels_is_told_and_not_taken_for_its_end() -> None:
    class Cancelled(ScriptedSource):
        async def items(self, since: int) -> AsyncGenerator[Item, None]:
            yield found(1, since)
            raise asyncio.CancelledError

    report = await run(made(Cancelled([])), MemoryKafka(), names=["scripted"], until=lambda: False)
    assert report.exit_code == 1
    assert report.failure == "the background task scripted was cancelled unasked"


async def test_a_background_task_that_fails_ends_the_run() -> None:
    class Broken(SystemClock):
        def call_later(self, delay_s: float, call: Callable[[], None]) -> Timer:
            if delay_s == 60.0:  # between two lines of progress
                raise ZeroDivisionError
            return super().call_later(delay_s, call)

    with pytest.raises(ZeroDivisionError):
        await run(
            made(ScriptedSource([])),
            MemoryKafka(),
            names=["scripted"],
            until=lambda: False,
            clock=Broken(),
        )


async def test_how_it_goes_is_logged_each_minute() -> None:
    clock, kafka, stop = FakeClock(), MemoryKafka(), asyncio.Event()
    posts = [found(number, number) for number in range(1, 31)]
    late = msgspec.structs.replace(posts[-1], at=clock.wall() - 7.0)
    source = ScriptedSource([*posts[:-1], passed(40), late])
    with capture_logs() as logs:
        running = asyncio.create_task(
            run_live(
                made(source),
                LiveSettings(http=Http(port=0)),
                Broker(),
                names=["scripted"],
                stop=stop,
                outlet=kafka,
                clock=clock,
            )
        )
        await kafka.has(lambda: kafka.holds("p30"))
        await clock.advance(119.0)
        stop.set()
        await running
    (line,) = [line for line in logs if line["event"] == PROGRESS]
    assert (line["records"], line["posts_per_s"], line["lag_s"]) == (30, 0.5, 7.0)
    assert (line["skipped"], line["disconnects"]) == ({"lang": 1}, 0)


async def test_a_limit_ends_the_run() -> None:
    at, kafka = now_us(), MemoryKafka()
    source = ScriptedSource([found(n, at + n) for n in range(5)])
    report = await run(
        made(source),
        kafka,
        names=["scripted"],
        until=lambda: False,
        settings=LiveSettings(limit=5, http=Http(port=0)),
    )
    assert (report.posts, report.written, report.exit_code) == (5, 5, 0)


@st.composite
def streams(draw: st.DrawFn) -> list[Item]:
    """Posts, edits and deletions in order, some positions shared."""
    at, versions = 1_000_000, dict.fromkeys(range(6), 0)
    items: list[Item] = []
    for _ in range(draw(st.integers(5, 60))):
        at += draw(st.sampled_from([0, 1, 40]))
        number = draw(st.integers(0, 5))
        versions[number] += 1
        version = f"{versions[number]:06}"
        if draw(st.integers(0, 4)) == 0:
            items.append(gone(number, at, version))
        else:
            items.append(found(number, at, version=version, text=version))
    return items


@settings(max_examples=60)
@given(items=streams(), failing=st.sets(st.integers(0, 80), max_size=4), rewind=st.integers(0, 50))
async def test_whenever_kafka_fails_the_topics_last_word_is_the_streams(
    items: list[Item], failing: set[int], rewind: int
) -> None:
    """Whatever is lost on the way, each key ends with its newest version or its tombstone."""
    start = now_us() - 2_000_000
    shifted: list[Item] = [_shifted(item, start) for item in items]
    shifted.append(found(100, start + 9_000_000 // 10_000))
    kafka = MemoryKafka()
    kafka.begin("scripted", start)
    kafka.patience_s = 2
    sends = iter(range(1_000_000))
    kafka.lose = lambda _key: next(sends) in failing
    last: dict[str, Item] = {_key(item): item for item in shifted}
    source = ScriptedSource(shifted, rewind=rewind)
    report = await run(
        made(source),
        kafka,
        names=["scripted"],
        until=lambda: all(_is_last_word(item, kafka) for item in last.values()),
        clock=HastyClock(),
    )
    assert report.failure is None


def _is_last_word(item: Item, kafka: MemoryKafka) -> bool:
    """Whether the topic says of the item's post what the stream says of it at its end."""
    value = kafka.newest().get(_key(item))
    if isinstance(item, Found):
        return value is not None and msgspec.json.decode(value)["text"] == item.post.text
    return value is None


def _key(item: Item) -> str:
    if isinstance(item, Found):
        return item.post.id
    assert isinstance(item, Gone)
    return item.key


def _shifted(item: Item, start: int) -> Item:
    assert item.position is not None
    position = item.position - 1_000_000 + start
    return msgspec.structs.replace(item, position=position)


class SlowBrokers:
    """Brokers that never answer; a stop finds the first connection under way."""

    def __init__(self) -> None:
        self.asked, self.let_go = asyncio.Event(), False

    @asynccontextmanager
    async def open(self, sources: Collection[str]) -> AsyncIterator[Opened]:
        self.asked.set()
        try:
            yield await self._never()
        finally:
            self.let_go = True

    async def _never(self) -> Opened:
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_stop_during_the_first_connection_is_heard_at_once() -> None:
    brokers, stop = SlowBrokers(), asyncio.Event()
    work = asyncio.ensure_future(
        run_live(
            made(ScriptedSource([])),
            LiveSettings(http=Http(port=0)),
            Broker(),
            names=["scripted"],
            stop=stop,
            outlet=brokers,
        )
    )
    await brokers.asked.wait()
    stop.set()
    report = await work
    assert (report.failure, report.exit_code, report.written) == (None, 0, 0)
    assert brokers.let_go
