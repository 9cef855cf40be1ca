"""`emostream produce bluesky`, `mastodon` and `feed`: the world's posts into Kafka, live."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from emostream.connection import Connection
from emostream.exits import wrong_usage

if TYPE_CHECKING:
    from producer.live import LiveReport, LiveSettings
    from producer.live.meter import Meter

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
        host: Jetstream hosts, a name or wss://…. [default: Bluesky's own]
        silence: Seconds without any post after which a host is left for the next.
    """
    with wrong_usage():
        from producer.live.bluesky import default_urls, host_url

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


def _run(
    run: "Callable[[asyncio.Event, Callable[[Meter], None]], Awaitable[LiveReport]]",
    running: Running,
) -> int:
    from emostream.live_runner import run_live_sources
    from emostream.parent import exit_with_parent

    if running.exit_with_parent:
        exit_with_parent()
    return run_live_sources(run, as_json=running.json)
