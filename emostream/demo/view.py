"""The live view in a terminal: what goes through, the mood by topic, alerts, the latest posts."""

import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.rule import Rule
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from emostream.demo.tally import (
    NEGATIVE,
    WINDOW_S,
    Mood,
    Seen,
    Tally,
    alerting,
    median_latency_ms,
    moods,
)
from schemas.alert import Alert

_BAR = 20
_WIDE = 130
"""Columns from which posts stand beside the moods instead of below them."""
_HANDLE = re.compile(r"@\w+")
"""The tweets are public data, but nobody asked to be named on a stranger's screen."""


class LiveView:
    """Draws a tally to the size of the terminal. Drawn on the loop that writes the tally."""

    def __init__(self, tally: Tally, posts: int) -> None:
        self._tally = tally
        self._posts = posts
        self.step = "starting"
        """What is going on, in a line."""
        self.page: str | None = None
        """Where the page is, once it is served."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        height = (options.height or console.height) - 1  # the cursor's own line
        now = time.monotonic()
        recent = self._tally.recent(now)
        head = Group(*self._head(recent, width))
        if width >= _WIDE:
            half = width // 2 - 2
            left = Group(*self._moods(recent, half), *self._alerts(), *self._emotions(recent, half))
            used = len(console.render_lines(head, options))
            right = self._latest(height - used - 1, half)
            body = Table.grid(padding=(0, 2))
            body.add_column(width=half)
            body.add_column(width=half)
            body.add_row(left, Group(*right))
            whole: RenderableType = Group(head, body)
        else:
            above = Group(head, *self._moods(recent, width), *self._alerts())
            used = len(console.render_lines(above, options))
            whole = Group(above, *self._latest(height - used, width))
        lines = console.render_lines(whole, options.update(height=None), pad=False)
        for line in lines[:height]:
            yield from line
            yield Segment.line()

    def _head(self, recent: Sequence[Seen], width: int) -> Iterable[RenderableType]:
        tally = self._tally
        yield Text.assemble(
            ("emostream demo", "bold"),
            (f"   page: {self.page}" if self.page else "", "cyan"),
            no_wrap=True,
            overflow="ellipsis",
        )
        yield Text(self.step, style="dim", no_wrap=True, overflow="ellipsis")
        done = round(width * min(1.0, tally.out / max(1, self._posts)))
        yield Text.assemble(("━" * done, "green"), ("━" * (width - done), "dim"), no_wrap=True)
        yield Text.assemble(
            (f"{tally.sent:,}", "bold"),
            " posts in   ",
            (f"{len(tally.events):,}", "bold"),
            " events out   ",
            (f"{len(tally.dead):,}", "bold"),
            " dead letters   ",
            (f"{max(0, tally.sent - tally.out):,}", "bold"),
            " under way",
            no_wrap=True,
        )
        median = median_latency_ms(recent)
        latency = "" if median is None else f", each after {median:,.0f} ms (median)"
        yield Text(
            f"last {WINDOW_S:.0f} s: {len(recent) / WINDOW_S:.0f} events/s{latency}", style="dim"
        )

    def _moods(self, recent: Sequence[Seen], width: int) -> Iterable[RenderableType]:
        yield Rule(f"mood by topic, last {WINDOW_S:.0f} s", align="left", style="dim")
        table = Table.grid(padding=(0, 2))
        table.add_column(width=9, no_wrap=True)
        table.add_column(width=_BAR + 5, no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        if width >= 76:
            table.add_column(justify="right", no_wrap=True)
        open_ = alerting(self._tally.alerts)
        table.add_column(no_wrap=True)
        for mood in moods(recent):
            row: list[RenderableType] = [
                Text(mood.topic or "(none)"),
                valence_bar(mood.valence),
                f"{mood.negative:.0%} negative",
            ]
            if width >= 76:
                row.append(Text(f"{mood.posts / WINDOW_S:.0f} posts/s", style="dim"))
            row.append(_state(mood, open_))
            table.add_row(*row)
        yield table if table.row_count else Text("no event yet", style="dim")

    def _alerts(self) -> Iterable[RenderableType]:
        told = [alert for alert in self._tally.alerts.values() if alert.kind == "spike"]
        if not told:
            return
        yield Rule("alerts", align="left", style="dim")
        for alert in told[-2:]:  # the newest ones: two lines each, or four where it is narrow
            for line in alert_lines(alert):
                yield Text(line, style=_style(alert))
        if len(told) > 2:
            yield Text(f"and {len(told) - 2} before", style="dim")

    def _emotions(self, recent: Sequence[Seen], width: int) -> Iterable[RenderableType]:
        """How many of the latest posts carry each emotion, the most frequent first."""
        counts = Counter(emotion for seen in recent for emotion in seen.emotions)
        if not counts:
            return
        yield Rule(f"emotions, last {WINDOW_S:.0f} s", align="left", style="dim")
        room = width - 24
        for emotion, count in counts.most_common():
            share = count / len(recent)
            yield Text.assemble(
                f"{emotion:<14}", ("█" * round(share * room), "blue"), (f" {share:.0%}", "dim")
            )

    def _latest(self, rows: int, width: int) -> Iterable[RenderableType]:
        if rows < 3:
            return
        yield Rule("latest posts, as the model reads them", align="left", style="dim")
        latest = list(self._tally.latest)[-(rows - 1) :]
        shown = 26 if width >= 100 else 18
        for seen in latest:
            number = "  · " if seen.valence is None else f"{seen.valence:.2f}"
            emotions = ", ".join(seen.emotions[:2]) or "neutral"
            text = " ".join(_HANDLE.sub("@…", seen.text).split())
            line = Text(no_wrap=True, overflow="ellipsis", end="")
            line.append(number, _hue(seen.valence))
            line.append(f"  {emotions[:shown]:<{shown}}  ", "dim")
            line.append(_printable(text))
            line.truncate(width, overflow="ellipsis")
            yield Padding(line, 0)


def alert_lines(alert: Alert) -> list[str]:
    """An alert in two lines: what happened, and what it is about."""
    since = f"{alert.started_at:%H:%M}"
    what = {
        "pending": f"{alert.track}: something is happening since {since}",
        "firing": f"{alert.track} turned negative at {since}",
        "resolved": f"{alert.track} turned negative at {since}, and is back to normal",
        "stale": f"{alert.track} turned negative at {since}; its posts stopped",
    }[alert.transition]
    people = f" by {alert.authors} people" if isinstance(alert.authors, int) else ""
    measure = alert.measure.replace("_", " ")
    negative = f"{alert.negative_posts} negative posts{people}"
    lines = [f"{what}: {measure} {alert.observed:.2f}, usual {alert.expected:.2f}; {negative}"]
    if alert.terms:
        lines.append("about: " + ", ".join(term.term for term in alert.terms[:6]))
    return [_printable(line) for line in lines]


def valence_bar(valence: float | None) -> Text:
    """A bar from negative (red) to positive (green), with the number beside it."""
    if valence is None:
        return Text("·" * _BAR, style="dim")
    filled = round(valence * _BAR)
    return Text.assemble(
        ("█" * filled, _hue(valence)), ("░" * (_BAR - filled), "dim"), (f" {valence:.2f}", "bold")
    )


def _state(mood: Mood, open_: dict[str, Alert]) -> Text:
    alert = open_.get(mood.topic)
    if alert is None:
        return Text("")
    if alert.transition == "pending":
        return Text("watching", style="yellow")
    return Text("ALERT", style="bold red")


def _style(alert: Alert) -> str:
    return {"firing": "red", "pending": "yellow"}.get(alert.transition, "green")


def _hue(valence: float | None) -> str:
    if valence is None:
        return "dim"
    return "red" if valence < NEGATIVE else "yellow" if valence < 0.6 else "green"


def _printable(text: str) -> str:
    """A stranger's text without what would move the cursor or turn the line around."""
    return "".join(c if c.isprintable() else " " for c in text)
