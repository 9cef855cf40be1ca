"""Running live sources for a person or a platform: progress, signals, report, exit status."""

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import msgspec
from rich.live import Live
from rich.text import Text

from emostream.console import Console
from producer.live import LiveReport
from producer.live.meter import Meter
from runtime.signals import caught_signals
from runtime.telemetry.logging import setup_logging

_DRAW_S = 0.25

Run = Callable[[asyncio.Event, Callable[[Meter], None]], Awaitable[LiveReport]]
"""Runs until the event is set; hands over what counts when it begins."""


def run_live_sources(run: Run, *, as_json: bool) -> int:
    """Run until SIGTERM, Ctrl-C or its own end, and report; the exit status.

    On a terminal a line of progress is drawn on standard error, and only warnings are logged there;
    elsewhere all is logged. The report goes to standard output.
    """
    console = Console(stderr=True)
    drawn = console.is_terminal and not as_json
    setup_logging("auto", "warning" if drawn else "info")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what came of its tries, we say

    async def main() -> LiveReport:
        stop = asyncio.Event()
        shown: list[Meter] = []
        with caught_signals(lambda _: stop.set()):
            async with _progress(console, shown) if drawn else _nothing():
                return await run(stop, shown.append)

    report = asyncio.run(main())
    if as_json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        _tell(report, console)
    return report.exit_code


@asynccontextmanager
async def _progress(console: Console, shown: list[Meter]) -> AsyncIterator[None]:
    begun = time.monotonic()

    async def draw(live: Live) -> None:
        while True:
            await asyncio.sleep(_DRAW_S)
            if shown:
                live.update(Text(progress_line(shown[0], time.monotonic() - begun)), refresh=True)

    with Live(console=console, auto_refresh=False, transient=True) as live:
        drawing = asyncio.create_task(draw(live))
        try:
            yield
        finally:
            drawing.cancel()
            with suppress(asyncio.CancelledError):
                await drawing


def _nothing() -> AbstractAsyncContextManager[None]:
    @asynccontextmanager
    async def nothing() -> AsyncIterator[None]:
        yield

    return nothing()


def progress_line(meter: Meter, seconds: float) -> str:
    """How it goes, in a line: written, rate, lag, skipped, and where from."""
    written = sum(meter.written.values())
    rate = written / seconds if seconds > 0 else 0.0
    parts = [f"{written:,} written", f"{rate:,.1f}/s"]
    if meter.lag_s is not None:
        parts.append(f"{_duration(meter.lag_s)} behind")
    if skipped := sum(meter.skipped.values()):
        parts.append(f"{skipped:,} skipped")
    if meter.disconnects:
        parts.append(f"{meter.disconnects:,} reconnects")
    hosts = sorted(set(meter.hosts.values()))
    if len(hosts) == 1:
        parts.append(hosts[0])
    elif hosts:
        parts.append(f"{len(hosts)} hosts")
    else:
        parts.append("connecting")
    return " · ".join(parts)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _tell(report: LiveReport, console: Console) -> None:
    """Close the books; why it ended, if it failed, is in the log."""
    for reason, count in report.skipped.items():
        if count:
            console.print(f"{count:,} skipped: {reason}", style="dim", highlight=False)
    sys.stdout.write(
        f"{report.posts:,} posts, {report.edits:,} edits and {report.deletes:,} deletions written"
        f" in {report.seconds:.1f} s\n"
    )
