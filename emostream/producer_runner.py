"""Running a producer for a person: progress bar, Ctrl-C in good order, report, exit status."""

import asyncio
import sys
from collections.abc import Awaitable, Callable

import msgspec
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from emostream.console import Console
from emostream.exits import FAILED, INTERRUPTED
from emostream.interrupt import run_until_stopped
from producer import BadLine, Observer, Report
from producer import Progress as Sent

_SHOWN_BAD_LINES = 10

Run = Callable[[Observer, asyncio.Event], Awaitable[Report]]


def run_producer(run: Run, *, total: int | None, as_json: bool) -> int:
    """Run a producer to its end or to Ctrl-C, and report; the exit status.

    On Ctrl-C what was sent is waited for; another one ends it at once. A progress bar is drawn on a
    terminal only, on standard error; the report goes to standard output.
    """
    console = Console(stderr=True)

    async def main(stop: asyncio.Event) -> Report:
        with _bar(console, hidden=as_json or not console.is_terminal) as bar:
            task = bar.add_task("", total=total)

            def observe(sent: Sent) -> None:
                rate = sent.acked / sent.seconds if sent.seconds else 0.0
                if total is None and sent.fraction:
                    bar.update(task, total=round(sent.sent / sent.fraction))
                bar.update(
                    task,
                    completed=sent.acked,
                    description=f"{rate:,.0f} posts/s, {sent.failed} failed",
                )

            return await run(observe, stop)

    report, interrupted = run_until_stopped(main)
    if as_json:
        summary = {**msgspec.to_builtins(report), "ok": report.ok}
        sys.stdout.write(msgspec.json.encode(summary).decode() + "\n")
    else:
        _tell(report, console)
    if not report.ok:
        return FAILED
    return INTERRUPTED if interrupted else 0


def _bar(console: Console, *, hidden: bool) -> Progress:
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console,
        disable=hidden,
        transient=True,
    )


def _tell(report: Report, console: Console) -> None:
    for bad in report.bad_samples[:_SHOWN_BAD_LINES]:
        console.print(_bad_line(bad), style="yellow", highlight=False)
    if report.bad_lines:
        console.print(f"{report.bad_lines:,} bad lines were left out", style="yellow")
    if report.unreadable_times:
        console.print(
            f"{report.unreadable_times:,} posts have a time in no form that is known"
            " (docs/input.md): they were written without it, and count as of now",
            style="yellow",
        )
    for error, count in report.errors.items():
        console.print(f"{count:,} records not written: {error}", style="red", highlight=False)
    if report.failure:
        console.print(report.failure, style="red", highlight=False)
    sys.stdout.write(
        f"{report.acked:,} posts written in {report.seconds:.1f} s"
        f" ({report.posts_per_s:,.0f}/s), {report.failed:,} failed\n"
    )


def _bad_line(bad: BadLine) -> str:
    return f"line {bad.line}: {bad.reason}"
