"""`emostream produce bluesky`, `mastodon` and `feed`: the world's posts into Kafka, live."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, validators

from emostream.connection import Connection
from emostream.exits import require, wrong_usage

if TYPE_CHECKING:
    from producer.live import LiveReport, LiveSettings
    from producer.live.meter import Meter
    from schemas.foreign import FieldPaths

Count = Annotated[int | None, Parameter(validator=validators.Number(gt=0))]
Seconds = Annotated[float | None, Parameter(validator=validators.Number(gt=0))]
Port = Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65535))]
Words = Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Running:
    """What all live sources share."""

    topic: str = "posts"
    """Topic to write to."""
    limit: Count = None
    """Stop after so many records. [default: never]"""
    seconds: Seconds = None
    """Stop after so long. [default: never]"""
    http_host: str = "127.0.0.1"
    """Address of /livez, /readyz and /metrics; 0.0.0.0 in a container."""
    http_port: Port = 9094
    """Their port; 0 takes a free one."""
    json: bool = False
    """The report as one JSON object."""
    exit_with_parent: bool = False
    """Stop when standard input ends: for a program that starts this one."""

    def settings(self) -> "LiveSettings":
        """The same, as the service takes it."""
        from producer.live import LiveSettings
        from runtime.settings.telemetry import Http

        return LiveSettings(
            topic=self.topic,
            limit=self.limit,
            seconds=self.seconds,
            http=Http(host=self.http_host, port=self.http_port),
        )


def bluesky(
    *,
    lang: Words = (),
    keyword: Words = (),
    without_label: Words = ("bot",),
    host: Words = (),
    silence: Annotated[float, Parameter(validator=validators.Number(gt=0))] = 30.0,
    running: Running = Running(),
    connection: Connection = Connection(),
) -> int:
    """Write Bluesky's posts into Kafka as they are written, until SIGTERM or Ctrl-C.

    By Jetstream: no account is needed. A start after a crash goes on where Kafka had acknowledged
    everything. Edits become new versions under the same key, deletions tombstones. Posts whose
    authors don't want them shown to strangers are left out.

    Exit status: 0 stopped as asked, 1 broken (start it again), 2 wrong usage or topic, 3 refused.

    **Examples**

    ```
    emostream produce bluesky --lang en
    emostream produce bluesky --lang en --keyword delayed --keyword "#trains" --limit 1000
    ```

    Args:
        lang: Only posts in one of these languages; en admits en-GB. [default: all]
        keyword: Only posts with one of these words, phrases or #hashtags. [default: all]
        without_label: Leave posts out that their authors labelled so (porn, …). [default: bot]
        host: Jetstream hosts, each a name or an address wss://… [default: Bluesky's own]
        silence: Seconds without any post after which a host is left for the next.
    """
    with wrong_usage():
        from producer.live.bluesky import default_urls, host_url

        _no_blanks(lang=lang, keyword=keyword)
        urls = [host_url(one) for one in host] or default_urls()

    async def run(stop: asyncio.Event, on_start: "Callable[[Meter], None]") -> "LiveReport":
        from producer.live.bluesky.run import BlueskyFilter, run_bluesky

        return await run_bluesky(
            BlueskyFilter(langs=lang, keywords=keyword, without_labels=without_label),
            urls,
            running.settings(),
            connection.broker(),
            stop=stop,
            on_start=on_start,
            silence_s=silence,
        )

    return _run(run, running)


def mastodon(
    *,
    instance: str,
    hashtag: Words = (),
    side: Annotated[Literal["all", "local", "remote"], Parameter(name="--from")] = "all",
    lang: Words = (),
    keyword: Words = (),
    bots: bool = False,
    token_file: Path | None = None,
    running: Running = Running(),
    connection: Connection = Connection(),
) -> int:
    """Write a Mastodon server's public posts into Kafka, until SIGTERM or Ctrl-C.

    Streamed, and caught up with after a gap. Servers since 4.2 stream only to a user's access
    token: take an account of its own, for its languages, blocks and mutes filter what comes. Read
    the server's terms first: some forbid automated readers. Bots, and people who don't want to be
    indexed, are left out.

    Exit status: 0 stopped as asked, 1 broken (start it again), 2 wrong usage or topic, 3 refused.

    **Examples**

    ```
    emostream produce mastodon --instance example.social --token-file token
    emostream produce mastodon --instance example.social --hashtag trains --hashtag delayed
    ```

    Args:
        instance: The server: a host, such as example.social. There is no default.
        hashtag: These instead of the whole public timeline, a connection for each.
        side: Posts of this server's people, of others', or all.
        lang: Only posts in one of these languages; en admits en-GB. [default: all]
        keyword: Only posts with one of these words, phrases or #hashtags. [default: all]
        bots: Automated accounts, too.
        token_file: File with the access token. [default: EMOSTREAM_MASTODON_TOKEN]
    """
    with wrong_usage():
        from producer.live.mastodon import Server, instance_url, timelines

        _no_blanks(lang=lang, keyword=keyword)
        server = Server(
            url=instance_url(instance),
            timelines=timelines(side, hashtag),
            token=_token(token_file),
        )

    async def run(stop: asyncio.Event, on_start: "Callable[[Meter], None]") -> "LiveReport":
        from producer.live.mastodon import MastodonFilter, run_mastodon

        return await run_mastodon(
            server,
            MastodonFilter(langs=lang, keywords=keyword, bots=bots),
            running.settings(),
            connection.broker(),
            stop=stop,
            on_start=on_start,
        )

    return _run(run, running)


def feed(
    *urls: str,
    items: str | None = None,
    field: Annotated[dict[str, str] | None, Parameter(name="--field")] = None,
    html: Literal["auto", "always", "never"] = "auto",
    source: str | None = None,
    name: Words = (),
    keyword: Words = (),
    interval: Annotated[float, Parameter(validator=validators.Number(gte=1, lte=86_400))] = 300.0,
    private_hosts: bool = False,
    running: Running = Running(),
    connection: Connection = Connection(),
) -> int:
    """Write what feeds give into Kafka, RSS and Atom or JSON listings, until SIGTERM or Ctrl-C.

    Asks each address every few minutes, and only for what has changed. With --items the answers are
    JSON, and --field says where a post's parts are, as in `produce replay`. In an address, {since}
    and {until} stand for the time to read from and to, in Unix seconds.

    Exit status: 0 stopped as asked, 1 broken (start it again), 2 wrong usage or topic, 3 refused.

    **Examples**

    ```
    emostream produce feed https://example.org/news.rss https://example.net/atom.xml
    emostream produce feed 'https://example.org/new?after={since}' --items hits --field.text body
    emostream produce feed https://example.org/private/3f2a91c0.rss --name newsroom
    ```

    Args:
        urls: Addresses of feeds, http or https.
        items: Dotted path of the list in a JSON answer; "" where the answer itself is the list.
        field: Where a post's field is in an item, by a dotted path: --field.text payload.body
        html: Which texts of items are read as HTML; auto: those that begin and end with a tag.
        source: The posts' source. [default: the feed's host]
        name: What each address is called in headers, logs and metrics, in their order: a path or
            a query may be a secret. [default: the host, and a mark made of the rest]
        keyword: Only entries with one of these words, phrases or #hashtags. [default: all]
        interval: Seconds between two requests to an address, a day at most.
        private_hosts: Names and redirects may lead to this machine and to private networks, too.
    """
    with wrong_usage():
        from producer.live.feed import FeedOptions, Mapping, feed_url, host_of
        from producer.live.feed.source import Polling

        _no_blanks(keyword=keyword)
        if not urls:
            raise ValueError("name at least one address: emostream produce feed URL…")
        if field and items is None:
            raise ValueError("--field is for JSON listings: say with --items where the list is")
        if (field or {}).get("id") in ("@key", "@position"):
            raise ValueError(
                "--field.id: a listing's items have no key and no position; name a path"
            )
        addresses = [feed_url(url) for url in dict.fromkeys(urls)]
        if name and not len(set(name)) == len(name) == len(addresses):
            raise ValueError("--name: give each address a name of its own, in their order")
        mapping = None
        if items is not None:
            if len({host_of(address) for address in addresses}) > 1:
                raise ValueError(
                    "--items: addresses of one host only, for two hosts' listings may give one id"
                    " to two posts; run a command for each host"
                )
            mapping = Mapping(items=items, fields=field_paths(field or {}), html=html)
        options = FeedOptions(
            mapping=mapping,
            source=source or "",
            keywords=keyword,
            polling=Polling(interval_s=interval),
            private_hosts=private_hosts,
            names=dict(zip(addresses, name, strict=True)) if name else {},
        )
    if mapping is None:
        require("feedparser")

    async def run(stop: asyncio.Event, on_start: "Callable[[Meter], None]") -> "LiveReport":
        from producer.live.feed import run_feeds

        return await run_feeds(
            addresses,
            options,
            running.settings(),
            connection.broker(),
            stop=stop,
            on_start=on_start,
        )

    return _run(run, running)


def _no_blanks(**options: tuple[str, ...]) -> None:
    """Refuse a variable that wasn't set: no language is wanted by it, or any keyword is."""
    for option, words in options.items():
        if not all(word.strip() for word in words):
            raise ValueError(f"--{option}: it is empty; leave it out for all of them")


def field_paths(field: dict[str, str]) -> "FieldPaths":
    """Take the paths of `--field`.

    Raises:
        ValueError: a post has no such field.
    """
    from schemas.foreign import FieldPaths

    known = [name for name in FieldPaths.__struct_fields__ if name != "meta_values"]
    if not field.keys() <= set(known):
        raise ValueError(f"--field: a post's fields are {', '.join(known)}")
    return FieldPaths(**field)  # type: ignore[arg-type]


def _token(file: Path | None) -> str:
    """Read the access token, from the file or the variable; empty where there is none."""
    if file is None:
        return os.environ.get("EMOSTREAM_MASTODON_TOKEN", "").strip()
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ValueError(f"--token-file {file} can't be read: {reason}") from None
    if not token:
        raise ValueError(f"--token-file {file} is empty")
    return token


def _run(
    run: "Callable[[asyncio.Event, Callable[[Meter], None]], Awaitable[LiveReport]]",
    running: Running,
) -> int:
    from emostream.live_runner import run_live_sources
    from emostream.parent import exit_with_parent

    if running.exit_with_parent:
        exit_with_parent()
    return run_live_sources(run, as_json=running.json)
