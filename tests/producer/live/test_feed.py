"""Feeds from a local server: what is there, once, and no more asked than needed."""

import asyncio
import random
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from itertools import pairwise

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from structlog.testing import capture_logs

from producer.live import LiveReport
from producer.live.feed import Mapping
from producer.live.feed.address import name_of
from producer.live.feed.entries import read_entries
from producer.live.feed.fetcher import Broken, Fetched, Fetcher, feed_session
from producer.live.feed.listing import ListingReader
from producer.live.feed.resolver import PrivateAddress, PublicResolver
from producer.live.feed.run import FeedOptions, _Listing, _reader
from producer.live.feed.source import FeedSource, Polling
from producer.live.items import Found, Item, Passed
from producer.live.log_events import GAP, WAITS
from producer.live.meter import Meter
from producer.live.selection import Selection
from producer.live.source import SourceRefused, SourceWatcher
from runtime.clock import SystemClock
from schemas import Post
from schemas.foreign import FieldPaths
from tests.http_server import Handler, serving
from tests.producer.live.memory_kafka import HastyClock, MemoryKafka, run

HACKER_NEWS = Mapping(
    items="hits",
    fields=FieldPaths(
        id="objectID", text="comment_text", author="author", created_at="created_at_i"
    ),
    html="always",
)
"""The shape of hn.algolia.com's search_by_date."""


def rss(*numbers: int, text: str = "entry", link: str = "https://example.org") -> bytes:
    items = "".join(
        f"<item><title>{text} {number}</title><guid isPermaLink='false'>{number}</guid>"
        f"<link>{link}/{number}</link><description>&lt;p&gt;more &amp;amp; more&lt;/p&gt;"
        f"</description><pubDate>Tue, 14 Nov 2023 22:13:{number:02} GMT</pubDate></item>"
        for number in numbers
    )
    return (
        "<?xml version='1.0'?><rss version='2.0'><channel><title>t</title><language>en</language>"
        f"{items}</channel></rss>"
    ).encode()


def numbers(kafka: MemoryKafka) -> list[str]:
    """The ids within the feed."""
    return [(record.key or b"").decode().partition("#")[2] for record in kafka.records]


async def poll(
    url: str,
    kafka: MemoryKafka,
    until: Callable[[], bool],
    options: FeedOptions | None = None,
    page: int = 1_000,
    *,
    others: Sequence[str] = (),
) -> LiveReport:
    """Read the feed at `url`, and those at `others`."""
    urls = [url, *others]
    options = options or FeedOptions(source="made-up")
    clock, rng = HastyClock(), random.Random(4)
    async with aiohttp.ClientSession() as session:

        def make(watcher: SourceWatcher) -> Sequence[FeedSource]:
            return [
                FeedSource(
                    url,
                    polling=Polling(interval_s=5, page=page),
                    fetcher=Fetcher(session, clock),
                    reader=_reader(url, options),
                    watcher=watcher,
                    clock=clock,
                    rng=rng,
                )
                for url in urls
            ]

        names = [name_of(url) for url in urls]
        return await run(make, kafka, names=names, until=until, clock=clock)


async def test_entries_are_written_once_and_only_changes_are_asked_for() -> None:
    kafka = MemoryKafka()
    asked: list[web.Request] = []
    answers = [rss(1, 2), rss(1, 2), rss(2, 3)]

    async def give(request: web.Request) -> web.Response:
        asked.append(request)
        if len(asked) == 2 and request.headers.get("If-None-Match") == '"1"':
            return web.Response(status=304)
        headers = {"ETag": f'"{len(asked)}"', "Last-Modified": "Tue, 14 Nov 2023 22:13:20 GMT"}
        return web.Response(body=answers[min(len(asked), 3) - 1], headers=headers)

    async with serving(("GET", "/feed", give)) as url:
        await poll(f"{url}/feed", kafka, lambda: len(kafka.records) >= 3 and len(asked) >= 3)
    assert numbers(kafka) == ["1", "2", "3"]
    assert asked[1].headers["If-None-Match"] == '"1"'
    assert asked[1].headers["If-Modified-Since"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    post = msgspec.json.decode(kafka.records[0].value or b"", type=Post)
    assert (post.text, post.source, post.lang) == ("entry 1\n\nmore & more", "made-up", "en")
    assert post.url == "https://example.org/1"
    assert post.created_at is not None
    assert post.created_at.year == 2023


def newest(bodies: list[bytes]) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A feed that is the last of these at each request."""

    async def give(_: web.Request) -> web.Response:
        return web.Response(body=bodies[-1])

    return give


async def test_after_a_restart_only_what_is_new_or_changed_is_written() -> None:
    kafka = MemoryKafka()
    bodies = [rss(1, 2)]
    async with serving(("GET", "/feed", newest(bodies))) as url:
        await poll(f"{url}/feed", kafka, lambda: len(kafka.records) >= 2)
        bodies.append(rss(1, 2, 3).replace(b"entry 2", b"entry two"))
        await poll(f"{url}/feed", kafka, lambda: len(kafka.records) >= 4)
    assert sorted(numbers(kafka)) == ["1", "2", "2", "3"]
    assert len(set(kafka.keys())) == 3


async def test_an_entry_that_was_blank_for_a_while_is_back_with_its_text() -> None:
    kafka, asked = MemoryKafka(), 0
    entry = b"<item><guid isPermaLink='false'>1</guid></item>"
    blank = b"<rss version='2.0'><channel>" + entry + b"</channel></rss>"

    async def give(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(body=blank if asked in (2, 3) else rss(1))

    async with serving(("GET", "/feed", give)) as url:
        await poll(f"{url}/feed", kafka, lambda: len(kafka.records) == 3)
    assert [record.value is None for record in kafka.records] == [False, True, False]


async def test_entries_are_known_after_a_week_too() -> None:
    kafka = MemoryKafka()
    bodies = [rss(1, 2)]
    async with serving(("GET", "/feed", newest(bodies))) as url:
        await poll(f"{url}/feed", kafka, lambda: len(kafka.records) >= 2)
        kafka.age(7 * 24 * 3600)
        bodies.append(rss(1, 2, 3))
        await poll(f"{url}/feed", kafka, lambda: numbers(kafka)[-1:] == ["3"])
    assert numbers(kafka) == ["1", "2", "3"]


async def test_entries_that_share_an_id_are_not_written_again_at_each_poll() -> None:
    kafka, asked = MemoryKafka(), 0
    body = rss(1, 2).replace(b">2</guid>", b">1</guid>")

    async def give(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(body=body if asked < 4 else rss(3))

    async with serving(("GET", "/feed", give)) as url:
        await poll(f"{url}/feed", kafka, lambda: numbers(kafka)[-1:] == ["3"])
    assert numbers(kafka) == ["1", "3"]
    assert b"entry 2" in (kafka.records[0].value or b"")  # the newest of them


async def test_an_entry_of_two_feeds_is_a_post_of_the_one_that_gave_it_first() -> None:
    """Their texts of it differ: at each poll one would take the other's back."""
    kafka = MemoryKafka()
    own = {"one": "first", "two": "first"}
    asked = {"one": 0, "two": 0}

    async def give(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        asked[name] += 1
        entry = f"<guid>urn:shared</guid><description>{name}: {own[name]}</description>"
        other = f"<guid>urn:{name}:{asked[name]}</guid><description>more</description>"
        items = f"<item>{entry}</item><item>{other}</item>"
        return web.Response(body=f"<rss version='2.0'><channel>{items}</channel></rss>")

    async def poll_both(url: str) -> None:
        before = dict(asked)
        await poll(
            f"{url}/one",
            kafka,
            lambda: all(asked[name] - before[name] >= 4 for name in asked),
            others=[f"{url}/two"],
        )

    def shared() -> list[str]:
        found = [r.value or b"{}" for r in kafka.records if r.key == b"urn:shared"]
        return [msgspec.json.decode(value)["text"] for value in found]

    async with serving(("GET", "/{name}", give)) as url:
        await poll_both(url)
        first = shared()[0].partition(":")[0]
        assert shared() == [f"{first}: first"]
        await poll_both(url)  # a restart knows it, too
        assert shared() == [f"{first}: first"]
        own["one"] = own["two"] = "edited"
        await poll_both(url)
    assert shared() == [f"{first}: first", f"{first}: edited"]


@pytest.mark.parametrize(
    "shape",
    [
        "<rss version='2.0'><channel><item><guid>1</guid>{}</item></channel></rss>",
        "<feed xmlns='http://www.w3.org/2005/Atom'><entry><id>1</id>{}</entry></feed>",
        "<rss version='2.0'><channel><item><guid>2026-01-31T08:00Z</guid>{}</item></channel></rss>",
        "<rss version='2.0'><channel><item><guid>Weather: rain</guid>{}</item></channel></rss>",
    ],
    ids=["rss", "atom", "time", "title"],
)
async def test_feeds_of_one_host_that_number_their_entries_share_none(shape: str) -> None:
    """A number, a time or a title is no address, though RSS takes a guid for one by default."""
    kafka = MemoryKafka()

    async def give(request: web.Request) -> web.Response:
        title = f"<title>{request.match_info['name']}</title><link href='../more/1'/>"
        return web.Response(body=shape.format(title))

    async with serving(("GET", "/feeds/{name}", give)) as url:
        here = f"{url}/feeds"
        await poll(f"{here}/one", kafka, lambda: len(kafka.records) == 2, others=[f"{here}/two"])
    posts = [msgspec.json.decode(record.value or b"", type=Post) for record in kafka.records]
    assert {post.text for post in posts} == {"one", "two"}
    if "Atom" in shape:
        assert {post.url for post in posts} == {f"{url}/more/1"}


async def test_what_kafka_did_not_take_is_fetched_again_although_the_feed_has_not_changed() -> None:
    kafka = MemoryKafka()
    lost = iter([True])
    kafka.lose = lambda key: key.endswith(b"#2") and next(lost, False)

    async def give(request: web.Request) -> web.Response:
        if "If-None-Match" in request.headers:
            return web.Response(status=304)
        return web.Response(body=rss(1, 2, 3), headers={"ETag": '"same"'})

    async with serving(("GET", "/feed", give)) as url:
        await poll(f"{url}/feed", kafka, lambda: len(set(kafka.keys())) == 3)


def plain(body: bytes = b"", status: int = 200, headers: dict[str, str] | None = None) -> Handler:
    async def give(_: web.Request) -> web.Response:
        return web.Response(body=body, status=status, headers=headers)

    return give


async def stalling(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "100000"})
    await response.prepare(request)
    await response.write(b"<rss>")
    assert request.transport is not None
    request.transport.close()
    return response


@pytest.mark.parametrize(
    "bad",
    [
        plain(b"<html><p>a page, no feed</p></html>"),
        plain(b""),
        plain(b"\xff\xfe\x00<<<"),
        plain(rss(9) + b" " * (5 << 20)),
        plain(status=503, headers={"Retry-After": "7"}),
        plain(status=429),
        plain(status=404),
        plain(status=302, headers={"Location": "file:///etc/passwd"}),
        plain(status=302, headers={"Location": "/feed"}),
        stalling,
    ],
    ids=["html", "empty", "bytes", "huge", "503", "429", "404", "file", "round", "cut"],
)
async def test_a_bad_answer_is_waited_out_and_the_next_good_one_is_read(bad: Handler) -> None:
    kafka = MemoryKafka()
    answers: list[Handler] = [plain(rss(1)), bad]

    async def give(request: web.Request) -> web.StreamResponse:
        handler = answers.pop(0) if answers else plain(rss(1, 2))
        return await handler(request)

    async with serving(("GET", "/feed", give)) as url:
        report = await poll(f"{url}/feed", kafka, lambda: len(kafka.records) == 2)
    assert report.failure is None
    assert numbers(kafka) == ["1", "2"]


async def test_a_header_that_is_no_text_costs_nothing() -> None:
    kafka = MemoryKafka()

    async def give(request: web.Request) -> web.StreamResponse:
        body = rss(1)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=\xff\r\nContent-Length: "
        assert request.transport is not None
        request.transport.write(head + b"%d\r\n\r\n" % len(body) + body)
        request.transport.close()
        return web.Response()

    async with serving(("GET", "/feed", give)) as url:
        report = await poll(f"{url}/feed", kafka, lambda: kafka.records != [])
    assert report.failure is None
    assert numbers(kafka) == ["1"]


async def test_a_pause_is_logged_with_its_end_and_a_server_that_asks_for_it_is_not_given_up() -> (
    None
):
    kafka = MemoryKafka()
    answers: list[Handler] = [plain(status=429, headers={"Retry-After": "47"})] * 4

    async def give(request: web.Request) -> web.StreamResponse:
        handler = answers.pop(0) if answers else plain(rss(1))
        return await handler(request)

    begun = SystemClock().wall()
    with capture_logs() as logs:
        async with serving(("GET", "/feed", give)) as url:
            report = await poll(f"{url}/feed?key=secret", kafka, lambda: kafka.records != [])
    assert report.failure is None
    waits = [line for line in logs if line["event"] == WAITS]
    assert [line["reason"] for line in waits] == ["rate_limited"] * 4
    for line in waits:
        assert line["source"].startswith("feed:127.0.0.1")
        assert 47 <= line["seconds"] <= 53  # and what it adds of its own
        assert 46 <= datetime.fromisoformat(line["until"]).timestamp() - begun < 80
    assert "secret" not in str(waits)


async def test_a_wrong_address_is_told_at_the_start() -> None:
    async with serving(("GET", "/other", plain())) as url:
        report = await poll(f"{url}/feed?key=secret", MemoryKafka(), lambda: False)
    assert report.exit_code == 3
    assert f"{url.removeprefix('http://')}: HTTP status 404" in str(report.failure)
    assert "secret" not in str(report.failure)


async def test_a_page_that_is_no_feed_is_told_at_the_start_and_not_asked_for_good() -> None:
    page = plain(b"<html><p>a page, no feed</p></html>")
    async with serving(("GET", "/page", page)) as url:
        report = await poll(f"{url}/page", MemoryKafka(), lambda: False)
    assert report.exit_code == 1
    assert "gives no feed: neither RSS nor Atom" in str(report.failure)


async def test_no_name_leads_to_a_private_network_unless_that_is_allowed() -> None:
    """`0x7f000001` is a name to us, and 127.0.0.1 to the system's resolver."""
    asked: list[str] = []

    async def give(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(body=rss(1))

    async def away(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": inside})

    async with serving(("GET", "/inside", give), ("GET", "/feed", away)) as url:
        inside = url.replace("127.0.0.1", "0x7f000001") + "/inside"
        for address in (inside, f"{url}/feed"):
            async with feed_session() as session:
                with pytest.raises(SourceRefused, match="--private-hosts"):
                    await Fetcher(session, SystemClock()).fetch(address)
            assert asked == []
            async with feed_session(private_hosts=True) as session:
                await Fetcher(session, SystemClock(), private_hosts=True).fetch(address)
            assert asked.pop() == "/inside"
        async with feed_session() as session:  # who writes such an address means it
            await Fetcher(session, SystemClock()).fetch(f"{url}/inside")
            await Fetcher(session, SystemClock()).fetch(
                url.replace("127.0.0.1", "localhost") + "/inside"
            )
    assert asked == ["/inside"] * 2


class Names(AbstractResolver):
    """A resolver that knows what it is told."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=one, port=port, family=family, proto=0, flags=0)
            for one in self._addresses
        ]

    async def close(self) -> None:
        pass


async def test_a_hundred_servers_that_hang_hold_up_no_other_feed() -> None:
    hanging, all_hang, released = 0, asyncio.Event(), asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        nonlocal hanging
        hanging += 1
        if hanging == 100:
            all_hang.set()
        await released.wait()
        return web.Response(body=rss(1))

    async with (
        serving(("GET", "/hang", hang), ("GET", "/feed", plain(rss(2)))) as url,
        feed_session(private_hosts=True) as session,
    ):
        fetchers = [Fetcher(session, SystemClock(), private_hosts=True) for _ in range(101)]
        waiting = [asyncio.ensure_future(one.fetch(f"{url}/hang")) for one in fetchers[1:]]
        await all_hang.wait()
        async with asyncio.timeout(20):
            assert await fetchers[0].fetch(f"{url}/feed") is not None
        released.set()
        await asyncio.gather(*waiting)


async def test_cookies_are_not_kept() -> None:
    sent: list[str | None] = []

    async def give(request: web.Request) -> web.Response:
        sent.append(request.headers.get("Cookie"))
        response = web.Response(body=rss(1))
        response.set_cookie(f"n{len(sent)}", "x" * 1_000)
        return response

    async with serving(("GET", "/feed", give)) as url, feed_session(private_hosts=True) as session:
        # By a name: aiohttp keeps none of an address anyway.
        fetcher = Fetcher(session, SystemClock(), private_hosts=True)
        for _ in range(2):
            await fetcher.fetch(f"{url}/feed".replace("127.0.0.1", "localhost"))
    assert sent == [None, None]


async def test_of_a_names_addresses_only_the_public_ones_are_connected_to() -> None:
    private = [
        *("127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.9", "169.254.169.254", "100.64.0.1"),
        *("0.0.0.0", "224.0.0.1", "::1", "fd00::1", "fe80::1", "::ffff:10.0.0.1"),
        *("64:ff9b::7f00:1", "2002:7f00:1::", "fe80::1%lo"),
    ]
    public = ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"]
    found = await PublicResolver(Names(*private, *public)).resolve("x.example", 443)
    assert [one["host"] for one in found] == public
    for address in private:
        with pytest.raises(PrivateAddress):
            await PublicResolver(Names(address)).resolve("x.example", 443)


async def test_a_listing_like_hacker_news_is_read_to_its_oldest_page_by_a_mapping() -> None:
    """At most so many hits come at once, the newest: what is older is asked for by {until}."""
    kafka = MemoryKafka()
    now = int(SystemClock().wall())
    hits = [
        {
            "objectID": str(number),
            "author": "somebody",
            "comment_text": f"I think <i>{number}</i><p>No &gt; yes",
            "created_at_i": now - 400 + number,
        }
        for number in range(45)
    ]
    queries: list[dict[str, str]] = []

    async def search(request: web.Request) -> web.Response:
        queries.append(dict(request.query))
        after, before = int(request.query["after"]), int(request.query["before"])
        found = [one for one in hits if after < int(str(one["created_at_i"])) < before]
        return web.json_response({"hits": found[::-1][:10]})

    options = FeedOptions(mapping=HACKER_NEWS, source="hackernews")
    async with serving(("GET", "/search", search)) as url:
        address = f"{url}/search?after={{since}}&before={{until}}"
        await poll(address, kafka, lambda: len(kafka.records) >= 45, options, page=10)
        hits.append({**hits[0], "objectID": "new", "created_at_i": now})
        await poll(address, kafka, lambda: kafka.holds("new"), options, page=10)
    assert kafka.keys() == [*map(str, range(45)), "new"]
    post = msgspec.json.decode(kafka.records[7].value or b"", type=Post)
    assert (post.text, post.source) == ("I think 7\n\nNo > yes", "hackernews")


async def test_what_a_listing_has_more_than_is_read_at_once_is_told_as_lost() -> None:
    kafka = MemoryKafka()
    now = int(SystemClock().wall())

    async def search(request: web.Request) -> web.Response:
        after, before = int(request.query["after"]), int(request.query["before"])
        times = range(min(before, now) - 1, max(after, min(before, now) - 11), -1)
        return web.json_response(
            {
                "hits": [
                    {"objectID": str(at), "comment_text": "x", "created_at_i": at} for at in times
                ]
            }
        )

    options = FeedOptions(mapping=HACKER_NEWS)
    async with serving(("GET", "/search", search)) as url:
        address = f"{url}/search?after={{since}}&before={{until}}"
        kafka.begin(name_of(address), (now - 1_400) * 1_000_000)
        with capture_logs() as logs:
            await poll(address, kafka, lambda: kafka.holds(str(now - 1)), options, page=10)
    (gap,) = [line for line in logs if line["event"] == GAP]
    # Of 1,400 seconds and ten minutes of overlap, fifty pages of ten.
    assert abs(gap["seconds"] - 1_500) <= 60


async def test_pages_that_hold_more_than_they_should_are_fewer() -> None:
    """What is kept until the oldest page is there is bounded by items, not by pages."""
    kafka = MemoryKafka()
    now = int(SystemClock().wall())

    async def search(request: web.Request) -> web.Response:
        before = min(int(request.query["before"]), now)
        hits = [
            {"objectID": str(at), "comment_text": "x", "created_at_i": at}
            for at in range(before - 1, before - 101, -1)
        ]
        return web.json_response({"hits": hits})

    options = FeedOptions(mapping=HACKER_NEWS)
    async with serving(("GET", "/search", search)) as url:
        address = f"{url}/search?after={{since}}&before={{until}}"
        kafka.begin(name_of(address), (now - 9_000) * 1_000_000)
        await poll(address, kafka, lambda: kafka.holds(str(now - 1)), options, page=10)
    # Five pages of a hundred, and not fifty; each but the first begins with the last of another.
    assert len(set(kafka.keys()) - {"before"}) == 500 - 4


def test_half_a_character_costs_its_item_at_most() -> None:
    reader = ListingReader(HACKER_NEWS, Selection(), source="s")
    items = reader.read(
        b'{"hits":[{"objectID":"1","comment_text":"\\ud800"},{"objectID":"2","comment_text":"b"},'
        b'{"objectID":"3\\udc00","comment_text":"c"},{"objectID":"4","comment_text":NaN}]}'
    )
    assert [item.post.id for item in items if isinstance(item, Found)] == ["1", "2"]
    assert [item.reason for item in items if isinstance(item, Passed)] == ["unreadable"] * 2


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"hits":7}', b'{"hits":[null,7,{"objectID":1}]}'])
async def test_a_broken_listing_costs_nothing_but_itself(body: bytes) -> None:
    kafka = MemoryKafka()
    good = b'{"hits":[{"objectID":"%d","comment_text":"yes"}]}'
    answers = [good % 1, body]

    async def give(_: web.Request) -> web.Response:
        return web.Response(body=answers.pop(0) if answers else good % 2)

    async with serving(("GET", "/search", give)) as url:
        options = FeedOptions(mapping=HACKER_NEWS)
        await poll(f"{url}/search", kafka, lambda: kafka.holds("2"), options)
    assert kafka.keys() == ["1", "2"]


async def test_millions_of_nothings_are_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producer.live.feed.fetcher.MOST_ITEMS", 3)
    listing = ListingReader(Mapping(items=""), Selection(), source="s")
    assert len(listing.read(b"[1,2,3]")) == 3
    with pytest.raises(Broken, match="over 3 items"):
        listing.read(b"[1,2,3,4]")
    feed = b"<rss version='2.0'><channel>" + b"<item/>" * 4 + b"</channel></rss>"
    with pytest.raises(Broken, match="over 3 items"):
        read_entries(Fetched(feed, "text/xml", "https://example.org"), feed="f", source="s")


async def test_a_long_answer_holds_up_nothing_else() -> None:
    """It is read in a thread, and what is passed over lets the others have their turns."""
    body = msgspec.json.encode([{"id": str(number)} for number in range(5_000)])
    turns: list[int] = []
    came = 0

    class Watching(ListingReader):
        def read(self, body: bytes) -> list[Item]:
            assert threading.current_thread() is not threading.main_thread()
            return super().read(body)

    async def beside() -> None:
        while True:
            turns.append(came)
            await asyncio.sleep(0)

    async with serving(("GET", "/", plain(body))) as url, feed_session(private_hosts=True) as http:
        clock = SystemClock()
        source = FeedSource(
            url,
            polling=Polling(interval_s=60),
            fetcher=Fetcher(http, clock, private_hosts=True),
            reader=_Listing(Watching(Mapping(items=""), Selection(), source="s")),
            watcher=Meter([name_of(url)], clock),
            clock=clock,
            rng=random.Random(1),
        )
        other = asyncio.create_task(beside())
        async with aclosing(source.items(0)) as items:
            async for _ in items:
                came += 1
                if came == 5_000:
                    break
        other.cancel()
    assert max(after - before for before, after in pairwise(turns)) <= 500
