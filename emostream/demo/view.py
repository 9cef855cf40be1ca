"""The live view in a terminal: posts, events, rate, mood, lag, and the latest posts as read."""

import re
import time

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from emostream.demo.tally import Tally

_BAR = 24
_TEXT_WIDTH = 60
_HANDLE = re.compile(r"@\w+")
"""The tweets are public data, but nobody asked to be named on a stranger's screen."""
_RATE_WINDOW_S = 3.0


class LiveView:
    """Draws a tally, and under the title what is being waited for."""

    def __init__(self, tally: Tally, posts: int, *, width: int = 100) -> None:
        self._step = "starting"
        self._tally = tally
        self._posts = posts
        self._width = width
        self._marks: list[tuple[float, int]] = []

    def show(self, step: str) -> None:
        """Say what is being waited for."""
        self._step = step

    def __rich__(self) -> RenderableType:
        tally = self._tally
        numbers = Table.grid(padding=(0, 3))
        for _ in range(6):
            numbers.add_column()
        numbers.add_row(
            *(Text(name, style="dim") for name in ("posts in", "events out", "dead letters")),
            *(Text(name, style="dim") for name in ("lag", "events/s", "latency p50")),
        )
        p50 = tally.latency_ms(50)
        numbers.add_row(
            f"{tally.sent:,}",
            f"{len(tally.events):,}",
            f"{len(tally.dead):,}",
            f"{max(0, tally.sent - tally.out):,}",
            f"{self._rate():.0f}",
            "" if p50 is None else f"{p50:.0f} ms",
        )
        rows: list[RenderableType] = [
            Text(self._step, style="dim"),
            numbers,
            ProgressBar(
                total=max(1, self._posts), completed=tally.out, width=min(72, self._width - 4)
            ),
            Text(),
            Text.assemble("mood  ", valence_bar(tally.mood), *self._emotions()),
            Text(),
            self._posts_read(),
        ]
        return Panel(Group(*rows), title="emostream demo", title_align="left", width=self._width)

    def _emotions(self) -> list[Text]:
        total = max(1, len(self._tally.events))
        return [
            Text(f"   {label} {100 * count / total:.0f} %", style="dim")
            for label, count in self._tally.emotions.most_common(4)
        ]

    def _posts_read(self) -> Table:
        rows = Table.grid(padding=(0, 2))
        rows.add_column(width=4)
        rows.add_column(max_width=_TEXT_WIDTH, ratio=1, no_wrap=True, overflow="ellipsis")
        rows.add_column(style="dim", no_wrap=True)
        for seen in self._tally.latest:
            number = Text("" if seen.valence is None else f"{seen.valence:.2f}", _hue(seen.valence))
            text = " ".join(_HANDLE.sub("@…", seen.text).split())
            rows.add_row(number, Text(text), ", ".join(seen.emotions[:3]) or "neutral")
        return rows

    def _rate(self) -> float:
        now = time.monotonic()
        self._marks.append((now, len(self._tally.events)))
        while now - self._marks[0][0] > _RATE_WINDOW_S:
            self._marks.pop(0)
        (since, before), (until, after) = self._marks[0], self._marks[-1]
        return (after - before) / (until - since) if until > since else 0.0


def valence_bar(valence: float | None) -> Text:
    """A bar from negative (red) to positive (green), with the number beside it."""
    if valence is None:
        return Text("·" * _BAR, style="dim")
    filled = round(valence * _BAR)
    return Text.assemble(
        ("█" * filled, _hue(valence)), ("░" * (_BAR - filled), "dim"), (f" {valence:.2f}", "bold")
    )


def _hue(valence: float | None) -> str:
    if valence is None:
        return "dim"
    return "red" if valence < 0.4 else "yellow" if valence < 0.6 else "green"
