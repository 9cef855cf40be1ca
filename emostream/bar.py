"""Progress of long work on standard error: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

_EVERY_S = 30.0
"""Between two lines in a log."""


class Bar:
    """How far some work is, how fast it goes and how long it will take.

    `total` is in the units of `update`'s `done`, which need not be what is counted for the rate.
    """

    def __init__(
        self, what: str, total: float, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._what = what
        self._total = total
        self._now = now
        self._begun = self._told = now()
        console = Console(stderr=True)
        self._terminal = console.is_terminal
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not self._terminal,
            transient=True,
        )
        self._task = self._bar.add_task(what, total=total)
        self._first: float | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, count: int, done: float) -> None:
        """Show that `count` were made in this run, and `done` of `total` in all."""
        now = self._now()
        if self._first is None:
            self._first = done
        rate = count / (now - self._begun) if now > self._begun else 0.0
        said = f"{count:,} {self._what}, {rate:,.0f}/s"
        self._bar.update(self._task, completed=done, description=said)
        if not self._terminal and now - self._told >= _EVERY_S:
            self._told = now
            sys.stderr.write(f"{said}, {self._left(now, done)}\n")

    def _left(self, now: float, done: float) -> str:
        assert self._first is not None
        made = done - self._first
        if made <= 0 or not self._total:
            return "time left unknown"
        minutes, seconds = divmod(round((self._total - done) * (now - self._begun) / made), 60)
        return f"{minutes}:{seconds:02d} left"
