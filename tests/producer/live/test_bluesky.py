"""Bluesky by a local Jetstream that misbehaves: nothing that was wanted is missing."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from functools import partial

import aiohttp
import msgspec
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from producer.live.backoff import Backoff
from producer.live.bluesky import (
    AiohttpJetstream,
    BlueskyOptions,
    BlueskySource,
    MessageReader,
    host_url,
    jetstream_session,
)
from producer.live.log_events import GAP, WAITS
from producer.live.selection import Selection
from producer.live.service import MakeSources
from producer.live.source import SourceWatcher
from runtime.clock import Clock, SystemClock
from schemas import Post
from tests.http_server import serving
from tests.producer.live.jetstream_server import (
    DID,
    Behaviour,
    JetstreamServer,
    account,
    dropping,
    event,
    faithful,
    identity,
    jetstream,
    post_id,
    replay,
    send,
    stay,
)
from tests.producer.live.memory_kafka import HastyClock, MemoryKafka, run

SILENCE_S = 0.3
REWIND_S = 0.01


def now_us() -> int:
    return int(SystemClock().wall() * 1e6)


def log_of(count: int, start: int | None = None) -> list[bytes]:
    """So many posts, 10 ms apart, the last of them about now."""
    begun = now_us() - count * 10_000 if start is None else start
    return [event(number, begun + number * 10_000) for number in range(count)]


def sources(
    session: aiohttp.ClientSession,
    *urls: str,
    langs: Sequence[str] = (),
    labels: Sequence[str] = ("bot",),
    clock: Clock | None = None,
    answer_s: float = 60.0,
) -> MakeSources:
    """Make the source of a run.

    By default a host has more time to answer than a busy machine takes: each connection that is
    given up is one more, and after some the start has failed.
    """
    clock = clock or SystemClock()

    def made(watcher: SourceWatcher) -> list[BlueskySource]:
        return [
            BlueskySource(
                BlueskyOptions(urls=urls, silence_s=SILENCE_S, rewind_s=REWIND_S),
                jetstream=AiohttpJetstream(session, clock, answer_s=answer_s),
                reader=MessageReader(Selection(langs), left_out_labels=labels),
                watcher=watcher,
                clock=clock,
                backoff=Backoff(clock, random.Random(3), first_s=0.01, most_s=0.05),
            )
        ]

    return made


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., MakeSources]]:
    async with jetstream_session() as session:
        yield partial(sources, session)


async def consume(make_sources: MakeSources, kafka: MemoryKafka, wanted: Sequence[str]) -> None:
    """Run until these ids are there, and stop."""
    report = await run(
        make_sources,
        kafka,
        names=["bluesky"],
        until=lambda: set(wanted) <= set(kafka.keys()),
    )
    assert report.failure is None
    assert report.unacknowledged == 0


def ids(*numbers: int) -> list[str]:
    return [post_id(number) for number in numbers]


async def test_a_post_is_written_as_the_consumer_reads_it(make: Callable[..., MakeSources]) -> None:
    log = log_of(1)
    async with jetstream(log) as server:
        kafka = MemoryKafka()
        kafka.begin("bluesky", now_us() - 1_000_000)
        await consume(make(server.url), kafka, ids(0))
    record = kafka.records[-1]
    post = msgspec.json.decode(record.value or b"", type=Post)
    assert post.id == (record.key or b"").decode() == post_id(0)
    assert (post.text, post.source, post.author, post.lang) == ("post 0", "bluesky", DID, "en")
    assert post.created_at is not None
    assert post.created_at.year > 2000  # not what the author claims
    assert server.queries[0]["wantedCollections"] == "app.bsky.feed.post"


async def misbehaving_huge(
    server: JetstreamServer, socket: web.WebSocketResponse, cursor: int | None
) -> None:
    """Each post between frames that are no posts at all."""
    for message in server.after(cursor):
        for bad in (
            b"",
            b"{",
            b"[]",
            b"null",
            b'{"did":"x"}',
            b"\xff\xfe no UTF-8",
            b"[" * 100_000,
            b'{"did":"d","time_us":1e999,"kind":"commit"}',
            b'{"did":"d","time_us":true,"kind":"commit","commit":7}',
            event(9_999, now_us(), text="x" * 300_000),
            event(9_998, 10**30),
        ):
            await send(socket, bad)
        await socket.send_bytes(message)
        await send(socket, message)
    await stay(socket)


async def twice_and_shuffled(
    server: JetstreamServer, socket: web.WebSocketResponse, cursor: int | None
) -> None:
    messages = server.after(cursor) * 2
    random.Random(5).shuffle(messages)
    for message in messages:
        await send(socket, message)
    await stay(socket)


async def a_frame_over_any_bound(
    server: JetstreamServer, socket: web.WebSocketResponse, cursor: int | None
) -> None:
    for message in server.after(cursor)[:3]:
        await send(socket, message)
    await send(socket, b"x" * (17 << 20))
    await stay(socket)


async def an_hour_too_early(
    server: JetstreamServer, socket: web.WebSocketResponse, cursor: int | None
) -> None:
    assert cursor is not None
    for number in range(50):
        await send(socket, event(5_000 + number, cursor - 3_600_000_000 + number))
    await faithful(server, socket, cursor)


async def half_a_message(
    server: JetstreamServer, socket: web.WebSocketResponse, cursor: int | None
) -> None:
    await replay(server, socket, cursor)
    writer = socket._writer
    assert writer is not None
    assert writer.transport is not None
    writer.transport.write(b"\x81\x7e\xff\xff{")  # a frame of 64 KB begins
    writer.transport.close()


@pytest.mark.parametrize(
    "behaviours",
    [
        [dropping(7), dropping(3), dropping(12), faithful],
        [misbehaving_huge],
        [twice_and_shuffled],
        [a_frame_over_any_bound, faithful],
        [an_hour_too_early],
        [half_a_message, dropping(20), faithful],
        [dropping(0)] * 5 + [faithful],
    ],
    ids=["drops", "broken", "repeats", "huge", "early", "cut", "never"],
)
async def test_every_post_is_there_once_however_the_host_behaves(
    behaviours: list[Behaviour], make: Callable[..., MakeSources]
) -> None:
    log = log_of(40)
    async with jetstream(log, *behaviours) as server:
        kafka = MemoryKafka()
        kafka.begin("bluesky", now_us() - 1_000_000)
        await consume(make(server.url), kafka, ids(*range(40)))
    assert sorted(kafka.keys()) == sorted(["before", *ids(*range(40))])


async def test_a_host_that_is_blind_to_posts_is_left_and_nothing_of_its_time_is_missing(
    make: Callable[..., MakeSources],
) -> None:
    """Its clock runs on by other events: the next host is asked from the last post on."""
    log = log_of(10)

    async def blind(
        server: JetstreamServer, socket: web.WebSocketResponse, cursor: int | None
    ) -> None:
        for message in server.after(cursor)[:4]:
            await send(socket, message)
        while True:  # it doesn't even read that we go
            await send(socket, identity(now_us()))
            await asyncio.sleep(0.02)

    async with jetstream(log, blind) as one, jetstream(log) as other:
        kafka = MemoryKafka()
        kafka.begin("bluesky", now_us() - 1_000_000)
        await consume(make(one.url, other.url), kafka, ids(*range(10)))
    last_seen = [int(dict(r.headers)["__emostream.live.position"] or 0) for r in kafka.records[1:5]]
    assert other.cursors == [max(last_seen) - int(REWIND_S * 1e6)]


async def test_edits_are_new_versions_deletions_tombstones_and_both_under_the_posts_key(
    make: Callable[..., MakeSources],
) -> None:
    at = now_us() - 500_000
    log = [
        event(1, at),
        event(2, at + 10),
        event(1, at + 20, operation="update", text="better"),
        event(2, at + 30, operation="delete"),
        event(3, at + 40, operation="delete"),  # never seen: filtered, or from before
        event(4, at + 50, langs=["de"]),
        event(4, at + 60, operation="delete"),
        event(5, at + 70),
        event(5, at + 80, operation="update", langs=["de"]),  # not wanted any more
        event(6, at + 90),
    ]
    async with jetstream(log, dropping(9), faithful) as server:  # all is replayed once more
        kafka = MemoryKafka()
        kafka.begin("bluesky", at - 1_000)
        await consume(make(server.url, langs=["en"]), kafka, ids(6))
    newest = kafka.newest()
    assert msgspec.json.decode(newest[post_id(1)] or b"")["text"] == "better"
    assert newest[post_id(2)] is None
    assert newest[post_id(5)] is None
    assert not {post_id(3), post_id(4)} & newest.keys()
    assert len(kafka.records) == 1 + 7


async def test_a_deleted_accounts_posts_become_tombstones(make: Callable[..., MakeSources]) -> None:
    at = now_us() - 500_000
    log = [
        event(1, at),
        event(2, at + 10),
        event(3, at + 15, did="did:plc:other"),
        account(at + 20, "throttled", "did:plc:other"),
        account(at + 30, "deleted"),
        event(4, at + 40, did="did:plc:other"),
    ]
    async with jetstream(log) as server:
        kafka = MemoryKafka()
        kafka.begin("bluesky", at - 1_000)
        await consume(make(server.url), kafka, [post_id(4, "did:plc:other")])
    gone = [key for key, value in kafka.newest().items() if value is None]
    assert sorted(gone) == ids(1, 2)


async def test_what_authors_say_by_labels_is_respected(make: Callable[..., MakeSources]) -> None:
    at = now_us() - 500_000
    log = [
        event(1, at, labels=["!no-unauthenticated"]),
        event(2, at + 1, labels=["bot"]),
        event(3, at + 2, labels=["porn"]),
        event(4, at + 3),
        event(4, at + 4, operation="update", labels=["!no-unauthenticated"]),
        event(5, at + 5, text=" \n"),
        event(6, at + 6),
    ]
    async with jetstream(log) as server:
        kafka = MemoryKafka()
        kafka.begin("bluesky", at - 1_000)
        await consume(make(server.url, labels=["bot", "porn"]), kafka, ids(6))
    assert {k: v is None for k, v in kafka.newest().items() if k != "before"} == {
        post_id(4): True,
        post_id(6): False,
    }


async def test_a_time_far_ahead_is_no_place_to_go_on_from(make: Callable[..., MakeSources]) -> None:
    at = now_us() - 500_000
    log = [event(1, at), event(2, at + 3_600_000_000), event(3, at + 20)]
    async with jetstream(log, dropping(2), faithful) as server:
        kafka = MemoryKafka()
        kafka.begin("bluesky", at - 1_000)
        await consume(make(server.url), kafka, ids(1, 2, 3))
    assert max(server.cursors) < at + 1_000


async def test_a_host_whose_clock_is_some_minutes_ahead_hides_nothing_of_the_next_one(
    make: Callable[..., MakeSources],
) -> None:
    at = now_us()
    fast = [event(number, at + 240_000_000 + number) for number in range(3)]

    async def right(
        server: JetstreamServer, socket: web.WebSocketResponse, cursor: int | None
    ) -> None:
        for number in range(3, 10):
            await send(socket, event(number, now_us()))
        await stay(socket)

    async with jetstream(fast, dropping(3)) as one, jetstream([], right) as other:
        kafka = MemoryKafka()
        kafka.begin("bluesky", at - 1_000)
        await consume(make(one.url, other.url), kafka, ids(*range(10)))
    assert other.cursors[0] <= now_us()
    watermarks = [int(dict(r.headers)["__emostream.live.watermark"] or 0) for r in kafka.records]
    assert max(watermarks) <= now_us()


async def test_a_host_that_asks_to_wait_is_left_alone_for_so_long_and_the_others_are_read() -> None:
    kafka, at, asked = MemoryKafka(), now_us(), 0

    async def busy(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(status=429, headers={"Retry-After": "45"})

    async with (
        jetstream(log_of(3), dropping(1), dropping(2), faithful) as server,
        serving(("GET", "/subscribe", busy)) as url,
        jetstream_session() as session,
    ):
        first = url.replace("http", "ws") + "/subscribe"
        kafka.begin("bluesky", at - 1_000_000)
        await consume(sources(session, first, server.url), kafka, ids(0, 1, 2))
    assert asked == 1


async def test_where_all_hosts_ask_to_wait_it_is_told_until_when_and_none_is_given_up() -> None:
    kafka, at = MemoryKafka(), now_us()
    refusals = iter(range(12))

    async def busy(request: web.Request) -> web.StreamResponse:
        if next(refusals, None) is not None:
            return web.Response(status=429, headers={"Retry-After": "45"})
        return await server.handle(request)

    server = JetstreamServer(log_of(3))
    async with serving(("GET", "/subscribe", busy)) as url, jetstream_session() as session:
        kafka.begin("bluesky", at - 1_000_000)
        make = sources(session, url.replace("http", "ws") + "/subscribe", clock=HastyClock())
        with capture_logs() as logs:
            await consume(make, kafka, ids(0, 1, 2))
    told = [line for line in logs if line["event"] == WAITS]
    assert len(told) == 12
    assert {line["reason"] for line in told} == {"rate_limited"}
    until = datetime.fromisoformat(told[0]["until"]).timestamp()
    assert 44 <= until - at / 1e6 < 60


async def test_after_a_weekend_away_all_that_hosts_keep_is_read_and_the_rest_is_told(
    make: Callable[..., MakeSources],
) -> None:
    hour = 3_600_000_000
    at = now_us()
    log = [event(number, at - 36 * hour + number * hour) for number in range(30)]
    async with jetstream(log) as server:
        kafka = MemoryKafka()
        kafka.begin("bluesky", at - 60 * hour)
        kafka.age(60 * 3600)
        with capture_logs() as logs:
            await consume(make(server.url), kafka, ids(*range(30)))
    (gap,) = [line for line in logs if line["event"] == GAP]
    assert abs(gap["seconds"] - 24 * 3600) < 60


@pytest.mark.parametrize(
    "bad", ["", "https://x", "ws://[::1", "ws://x:99999", "a b", "ws://me:secret@x", "x?key=secret"]
)
def test_what_is_no_host_is_refused_before_anything_is_begun(bad: str) -> None:
    with pytest.raises(ValueError, match="--host") as refused:
        host_url(bad)
    assert "secret" not in str(refused.value)
    assert host_url("x.example") == "wss://x.example/subscribe"


async def test_a_host_that_takes_connections_and_says_nothing_is_left(
    make: Callable[..., MakeSources],
) -> None:
    hung = socket.create_server(("127.0.0.1", 0))  # the system accepts; nobody reads
    hung.settimeout(0)
    with hung:
        url = f"ws://127.0.0.1:{hung.getsockname()[1]}/subscribe"
        async with jetstream(log_of(3)) as server:
            kafka = MemoryKafka()
            kafka.begin("bluesky", now_us() - 1_000_000)
            await consume(make(url, server.url, answer_s=1.0), kafka, ids(0, 1, 2))
        connection, _ = hung.accept()  # it was tried
        connection.close()


async def test_where_nobody_answers_the_start_fails_and_says_what_was_tried(
    make: Callable[..., MakeSources],
) -> None:
    kafka = MemoryKafka()
    for url, why in (
        ("ws://127.0.0.1:9/subscribe", "127.0.0.1:9: Connect"),
        ("ws://nowhere.invalid/subscribe", "nowhere.invalid: its name can't be resolved."),
    ):
        report = await run(make(url), kafka, names=["bluesky"], until=lambda: False)
        assert report.exit_code == 1
        assert f"{why}" in str(report.failure)
        assert "Is there a network?" in str(report.failure)

    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=400, text="unknown option")

    async with serving(("GET", "/subscribe", refuse)) as url:
        report = await run(
            make(url.replace("http", "ws") + "/subscribe"),
            kafka,
            names=["bluesky"],
            until=lambda: False,
        )
    assert report.exit_code == 3
    assert "400" in str(report.failure)


async def test_a_redirect_is_not_followed(make: Callable[..., MakeSources]) -> None:
    async with jetstream(log_of(3)) as elsewhere:

        async def away(_: web.Request) -> web.Response:
            return web.Response(
                status=307, headers={"Location": elsewhere.url.replace("ws", "http")}
            )

        async with serving(("GET", "/subscribe", away)) as url:
            report = await run(
                make(url.replace("http", "ws") + "/subscribe"),
                MemoryKafka(),
                names=["bluesky"],
                until=lambda: False,
            )
    assert report.exit_code == 3
    assert "HTTP status 307" in str(report.failure)
    assert elsewhere.queries == []
