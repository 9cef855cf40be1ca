"""Mastodon by a local server that drops, stalls and breaks off: gaps are caught up with."""

import itertools
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from producer.live import LiveReport
from producer.live.backoff import Backoff
from producer.live.log_events import GAP, WAITS
from producer.live.mastodon import Server, instance_url, timelines
from producer.live.mastodon.events import Event, EventReader, EventTooLarge
from producer.live.mastodon.instance import Instance
from producer.live.mastodon.run import mastodon_session
from producer.live.mastodon.source import MastodonSource
from producer.live.mastodon.status import StatusReader
from producer.live.mastodon.timeline import Timeline, id_at, time_of_id
from producer.live.selection import Selection
from producer.live.source import SourceWatcher
from runtime.clock import Clock, SystemClock, Timer
from schemas import Post
from tests.producer.live.mastodon_server import (
    TOKEN,
    MastodonServer,
    mastodon,
    quiet,
    saying,
    sse,
    status,
    uri,
)
from tests.producer.live.memory_kafka import HastyClock, MemoryKafka, run


def now_us() -> int:
    return int(SystemClock().wall() * 1e6)


PUBLIC = timelines("all", ())


async def read(
    server: MastodonServer,
    kafka: MemoryKafka,
    until: Callable[[], bool],
    *,
    token: str = TOKEN,
    which: Sequence[Timeline] = PUBLIC,
    clock: Clock | None = None,
    answer_s: float = 30.0,
) -> LiveReport:
    clock = clock or SystemClock()
    host = server.url.removeprefix("http://")
    async with mastodon_session() as session:
        instance = Instance(server.url, token, session=session, clock=clock, answer_s=answer_s)

        def make(watcher: SourceWatcher) -> list[MastodonSource]:
            return [
                MastodonSource(
                    instance,
                    timeline,
                    reader=StatusReader(host, Selection(["en"]), sides=timeline.sides),
                    watcher=watcher,
                    clock=clock,
                    backoff=Backoff(clock, random.Random(2), first_s=0.01, most_s=0.05),
                )
                for timeline in which
            ]

        names = [f"mastodon:{host}/{timeline.label}" for timeline in which]
        return await run(make, kafka, names=names, until=until, clock=clock)


def has(kafka: MemoryKafka, *numbers: int) -> Callable[[], bool]:
    return lambda: {uri(number) for number in numbers} <= set(kafka.keys())


async def test_a_post_is_written_as_the_consumer_reads_it() -> None:
    kafka = MemoryKafka()
    async with mastodon([], saying(sse("update", status(1, now_us())))) as server:
        report = await read(server, kafka, has(kafka, 1))
    assert report.exit_code == 0
    post = msgspec.json.decode(kafka.records[0].value or b"", type=Post)
    assert post.id == uri(1)
    assert (post.text, post.source, post.author, post.lang) == ("post 1", "mastodon", "a", "en")
    assert post.topics == ("trains",)


async def test_after_a_gap_the_timeline_is_read_forward_page_by_page_with_an_overlap() -> None:
    kafka, at = MemoryKafka(), now_us() - 3_000_000_000
    statuses = [status(number, at + number * 1_000_000) for number in range(130)]
    async with mastodon(statuses) as server:
        kafka.begin(f"mastodon:{server.url.removeprefix('http://')}/public", at)
        await read(server, kafka, has(kafka, *range(130)))
    assert kafka.keys() == ["before", *(uri(number) for number in range(130))]
    first = time_of_id(server.pages[0]["min_id"])
    assert first is not None
    assert abs(first - (at - 600_000_000)) < 1_000
    assert {page["limit"] for page in server.pages} == {"40"}


async def test_posts_that_can_not_be_caught_up_with_are_told_once() -> None:
    kafka, at = MemoryKafka(), now_us()
    days = 3 * 24 * 3_600_000_000
    statuses = [
        status(2, at - days + 5_000_000, account={"bot": True}),
        status(3, at - days + 10_000_000),
        status(1, at - 3_600_000_000),
    ]
    async with mastodon(statuses) as server:
        kafka.begin(f"mastodon:{server.url.removeprefix('http://')}/public", at - days)
        kafka.age(days / 1e6)
        server.limited = [{"Retry-After": "20"}] * 2
        with capture_logs() as logs:
            await read(server, kafka, has(kafka, 1), clock=HastyClock())
    (gap,) = [line for line in logs if line["event"] == GAP]
    assert abs(gap["seconds"] - 2 * 24 * 3600) < 60


async def test_a_quiet_timeline_whose_last_post_is_of_last_week_has_no_gap_after_a_restart() -> (
    None
):
    class LastWeek(HastyClock):
        def wall(self) -> float:
            return super().wall() - 7 * 24 * 3600.0

    day, at, kafka = 24 * 3_600_000_000, now_us(), MemoryKafka()
    async with mastodon([status(1, at - 7 * day)]) as server:
        kafka.begin(f"mastodon:{server.url.removeprefix('http://')}/public", at - 7 * day - 1)
        await read(server, kafka, has(kafka, 1), clock=LastWeek())
        server.statuses += [
            status(2, at - 6 * day, account={"bot": True}),
            status(3, at - 3_600_000_000),
        ]
        with capture_logs() as logs:
            await read(server, kafka, has(kafka, 3))
    assert not [line for line in logs if line["event"] == GAP]


async def test_days_of_silence_on_an_open_stream_are_no_gap() -> None:
    class Later(HastyClock):
        days = 0

        def wall(self) -> float:
            return super().wall() + self.days * 24 * 3600.0

    kafka, at, clock = MemoryKafka(), now_us(), Later()

    async def silent(_: MastodonServer, response: object) -> None:
        clock.days = 3

    after = at + 3 * 24 * 3_600_000_000
    streams = [silent, saying(sse("update", status(1, after)))]
    async with mastodon([], *streams) as server:
        kafka.begin(f"mastodon:{server.url.removeprefix('http://')}/public", at)
        with capture_logs() as logs:
            await read(server, kafka, has(kafka, 1), clock=clock)
    assert not [line for line in logs if line["event"] == GAP]


async def test_what_comes_while_the_stream_is_down_is_there_once() -> None:
    kafka, at = MemoryKafka(), now_us()
    missed = [status(number, at + number) for number in range(1, 6)]

    async def dies(server: MastodonServer, response: object) -> None:
        server.statuses += missed

    streams = [
        saying(sse("update", status(0, at)), stay=False),
        dies,
        saying(b":thump\n", sse("update", status(3, at + 3)), sse("update", status(9, at + 9))),
    ]
    async with mastodon([], *streams) as server:
        await read(server, kafka, has(kafka, 0, *range(1, 6), 9))
    assert sorted(kafka.keys()) == sorted(uri(n) for n in (0, 1, 2, 3, 4, 5, 9))


async def test_edits_and_deletions_find_the_post_by_the_servers_own_id() -> None:
    kafka, at = MemoryKafka(), now_us()
    edited = status(1, at, content="<p>better</p>", edited_at=datetime.now(UTC).isoformat())
    stream = saying(
        sse("update", status(1, at)),
        sse("update", status(2, at)),
        sse("status.update", edited),
        sse("update", status(1, at)),  # comes late once more
        sse("delete", str(id_at(at) + 2)),
        sse("delete", "12345"),  # of a post that nobody sent
        sse("update", status(3, at)),
    )
    async with mastodon([], stream) as server:
        await read(server, kafka, has(kafka, 3))
    newest = kafka.newest()
    assert msgspec.json.decode(newest[uri(1)] or b"")["text"] == "better"
    assert newest[uri(2)] is None
    assert len(kafka.records) == 5


@pytest.mark.parametrize(
    "changes",
    [
        {"account": {"bot": True}},
        {"account": {"noindex": True}},
        {"account": {"indexable": False}},
        {"account": {"note": "<p>me <a href='x'>#<span>NoBot</span></a></p>"}},
        {"reblog": {"id": "1"}},
        {"visibility": "private"},
        {"language": "de"},
        {"language": None},
        {"content": "<p></p>"},
        {"account": {"note": "#nobots"}, "content": None},
        {"uri": None},
    ],
    ids=lambda changes: str(changes)[:40],
)
async def test_who_does_not_want_to_be_read_is_not(changes: dict[str, object]) -> None:
    kafka, at = MemoryKafka(), now_us()
    stream = saying(sse("update", status(1, at, **changes)), sse("update", status(2, at)))
    async with mastodon([], stream) as server:
        await read(server, kafka, has(kafka, 2))
    assert kafka.keys() == [uri(2)]


@pytest.mark.parametrize(
    "broken",
    [
        [b"event: update\ndata: {\n\n", b"\xff\xfe\n\n", b"data\n\n", b"event: x\ndata: 1\n\n"],
        [b"event: update\ndata: [1]\n\n", b"event: update\ndata: null\n\n", b"\r\n\r\n"],
        [b"event: update\ndata: " + b"x" * (2 << 20)],
        [b"event: update\ndata: " + b"[" * 200_000 + b"\n\n"],
        [b"event: update\ndata: {", b'"id": 7}'],
    ],
    ids=["broken", "shapes", "endless", "deep", "cut"],
)
async def test_broken_and_huge_events_cost_nothing_but_themselves(broken: list[bytes]) -> None:
    kafka, at = MemoryKafka(), now_us()
    streams = [
        saying(sse("update", status(1, at)), *broken, stay=False),
        saying(sse("update", status(2, at))),
    ]
    async with mastodon([], *streams) as server:
        await read(server, kafka, has(kafka, 1, 2))
    assert sorted(kafka.keys()) == [uri(1), uri(2)]


async def test_more_than_a_hundred_hashtags_are_read_at_once() -> None:
    kafka = MemoryKafka()
    async with mastodon([], quiet) as server:

        def all_open() -> bool:
            return server.opened == 101

        async def newcomer(_: MastodonServer, response: web.StreamResponse) -> None:
            if all_open():  # what is written now is found on a page, by each of them
                server.statuses.append(status(1, now_us()))
            await quiet(server, response)

        server.streams = [newcomer]
        tags = timelines("all", [f"tag{number}" for number in range(101)])
        await read(server, kafka, has(kafka, 1), which=tags)
    assert kafka.keys() == [uri(1)]


async def test_a_stream_whose_beginning_does_not_end_is_left_and_opened_again() -> None:
    kafka = MemoryKafka()
    async with mastodon([], saying(sse("update", status(1, now_us())))) as server:
        server.half_begun = 1
        await read(server, kafka, has(kafka, 1), answer_s=1.0)
    assert kafka.keys() == [uri(1)]


async def test_a_server_that_asks_to_wait_is_waited_for() -> None:
    kafka, at = MemoryKafka(), now_us()
    waits: list[float] = []

    class Watched(HastyClock):
        def call_later(self, delay_s: float, call: Callable[[], None]) -> Timer:
            waits.append(delay_s)
            return super().call_later(min(delay_s, 59.0), call)

    async with mastodon([status(1, at)], quiet) as server:
        reset = datetime.fromtimestamp(SystemClock().wall() + 200, UTC).isoformat()
        server.limited = [{"X-RateLimit-Reset": reset}, {"Retry-After": "77"}]
        with capture_logs() as logs:
            await read(server, kafka, has(kafka, 1), clock=Watched())
    assert [wait for wait in waits if 195 < wait <= 201]
    assert [wait for wait in waits if 70 < wait <= 78]
    told = [line for line in logs if line["event"] == WAITS and line["seconds"] > 190]
    assert told[0]["reason"] == "rate_limited"
    until = datetime.fromisoformat(told[0]["until"]).timestamp()
    assert 190 < until - at / 1e6 < 220


async def test_the_pause_after_the_last_request_that_is_allowed_for_now_is_told() -> None:
    kafka, at = MemoryKafka(), now_us()
    async with mastodon([status(1, at)], quiet) as server:
        reset = datetime.fromtimestamp(SystemClock().wall() + 50, UTC).isoformat()
        server.last_allowed = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
        with capture_logs() as logs:
            await read(server, kafka, has(kafka, 1), clock=HastyClock())
    told = [line for line in logs if line["event"] == WAITS]
    assert told
    assert {line["reason"] for line in told} == {"rate_limited"}


async def test_without_a_token_it_ends_and_says_which_one_is_needed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    kafka = MemoryKafka()
    async with mastodon([]) as server:
        report = await read(server, kafka, lambda: False, token="not-the-token-7351")
        assert report.exit_code == 3
        assert "access token" in str(report.failure)
        server.access = {"live_feeds": {"local": "disabled", "remote": "disabled"}}
        report = await read(server, kafka, lambda: False)
        assert "switched this timeline off" in str(report.failure)
    out = capfd.readouterr()
    assert "not-the-token-7351" not in out.out + out.err + str(report.failure)
    assert "not-the-token" not in repr(
        Server(url="https://x.example", timelines=(), token="not-the-token")
    )


def test_a_token_goes_nowhere_without_tls() -> None:
    with pytest.raises(ValueError, match="https"):
        Server(url="http://example.social", timelines=PUBLIC, token="t")
    for bad in ("https://me:secret@x.example", "ftp://me:secret@x", "x.example/?token=secret"):
        with pytest.raises(ValueError, match="credentials") as refused:
            instance_url(bad)
        assert "secret" not in str(refused.value)
    assert instance_url("example.social") == "https://example.social"


@pytest.mark.parametrize(
    "bad", ["", "https://[::1", "x.example:99999", "x.example:0", "a b", "x.example/api", "ftp://x"]
)
def test_what_is_no_server_is_refused_before_anything_is_begun(bad: str) -> None:
    with pytest.raises(ValueError, match=r"--instance .*: name a host"):
        instance_url(bad)


async def test_several_hashtags_are_read_at_once_and_a_post_with_both_is_there_once() -> None:
    kafka, at = MemoryKafka(), now_us()
    stream = saying(sse("update", status(1, at)))
    async with mastodon([status(2, at)], stream) as server:
        which = timelines("local", ["#trains", "delayed", "Trains"])
        assert [one.label for one in which] == ["tag/trains", "tag/delayed"]
        await read(server, kafka, lambda: has(kafka, 1, 2)() and server.opened == 2, which=which)
    assert sorted(kafka.keys()) == [uri(1), uri(2)]
    assert {page.get("local") for page in server.pages} == {"true"}


async def test_of_a_hashtags_stream_which_has_both_sides_only_the_one_asked_for_is_read() -> None:
    kafka, at = MemoryKafka(), now_us()
    stream = saying(
        sse("update", status(1, at)),
        sse("update", status(2, at, account={"acct": "b@elsewhere.example"})),
    )
    async with mastodon([], stream) as server:
        report = await read(server, kafka, has(kafka, 2), which=timelines("remote", ["trains"]))
    assert kafka.keys() == [uri(2)]
    assert report.skipped == {"other_side": 1}


@given(
    events=st.lists(st.tuples(st.sampled_from(["update", "delete"]), st.text("ab:é ", min_size=1))),
    cuts=st.lists(st.integers(0, 400)),
)
def test_events_are_read_whole_however_the_stream_is_cut(
    events: list[tuple[str, str]], cuts: list[int]
) -> None:
    whole = b":)\n" + b"".join(sse(name, data) + b":thump\n" for name, data in events)
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    reader = EventReader()
    found: list[Event] = []
    for start, end in itertools.pairwise(places):
        found += reader.feed(whole[start:end])
    assert found == [Event(name, data) for name, data in events]


def test_an_event_without_an_end_is_not_kept() -> None:
    endless = (b"data: " + b"x" * 20_000 + b"\n" for _ in range(100))
    reader = EventReader()
    with pytest.raises(EventTooLarge):
        list(itertools.chain.from_iterable(map(reader.feed, endless)))
