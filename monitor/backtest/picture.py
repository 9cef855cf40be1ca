"""A backtest on a terminal: each track's mood as a line of blocks, and its alerts in a table."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from schemas.alert import Alert

_WIDTH_WITH_TERMS = 100
_BLOCKS = " ▁▂▃▄▅▆▇█"
_STYLES = {"critical": "bold red", "warning": "yellow", "info": "cyan"}


class Mood(msgspec.Struct):
    """A track's hourly sums, for the picture."""

    hours: dict[int, list[float]] = {}
    """Hours since 1970 to posts and soft negatives."""

    def add(self, time: int, scored: float, soft: float) -> None:
        """Count a pane's posts (Unix seconds, sums); one without a valence adds nothing."""
        if not scored:
            return
        sums = self.hours.setdefault(time // 3600, [0.0, 0.0])
        sums[0] += scored
        sums[1] += soft


def picture(moods: dict[str, Mood], fired: Sequence[Alert], *, width: int) -> RenderableType:
    """Return one line a track: the share negative over time, red where an alert fired."""
    known = {track: mood for track, mood in moods.items() if mood.hours}
    if not known:
        return Text("no posts with a valence")
    first = min(min(mood.hours) for mood in known.values())
    last = max(max(mood.hours) for mood in known.values())
    names = max(len(track) for track in known)
    columns = max(10, min(width - min(names, 24) - 12, last - first + 1))
    table = Table.grid(padding=(0, 1))
    for track, mood in sorted(known.items()):
        alerts = [alert for alert in fired if alert.track == track]
        table.add_row(
            Text(track[:24], style="bold"),
            _line(mood, alerts, first, last - first + 1, columns),
            Text(str(len(alerts)) if alerts else "", style="red"),
        )
    span = [datetime.fromtimestamp(h * 3600, UTC) for h in (first, last)]
    begin, end = (moment.strftime(_day_and_time(span)) for moment in span)
    return Group(
        table, Text(f"share negative by time, {begin} to {end} UTC; red: an alert fired", "dim")
    )


def _day_and_time(moments: Sequence[datetime]) -> str:
    """How a moment is written: with its year, where they aren't all of one."""
    return "%d %b %Y %H:%M" if len({one.year for one in moments}) > 1 else "%d %b %H:%M"


def alert_table(fired: Sequence[Alert], ended: dict[str, datetime], *, width: int) -> Table:
    """Return a table of the alerts that fired; `ended` is when, by alert.

    It has the terms where there are a hundred columns: they tell least when cut off.
    """
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("fired (UTC)", "for", "track", "severity", "measure"):
        table.add_column(name, no_wrap=name != "track", overflow="fold")
    for name in ("now", "usual", "posts", "authors"):
        table.add_column(name, justify="right", no_wrap=True)
    with_terms = width >= _WIDTH_WITH_TERMS
    if with_terms:
        table.add_column("terms")
    form = _day_and_time([one.fired_at for one in fired if isinstance(one.fired_at, datetime)])
    for alert in fired:
        assert isinstance(alert.fired_at, datetime)
        end = ended.get(alert.alert_id)
        lasted = "open" if end is None else f"{(end - alert.fired_at).total_seconds() / 60:.0f} min"
        authors = alert.authors if isinstance(alert.authors, int) else "?"
        terms = ", ".join(term.term for term in alert.terms[:3])
        table.add_row(
            alert.fired_at.strftime(form),
            lasted,
            alert.track,
            Text(alert.severity, style=_STYLES[alert.severity]),
            alert.measure.replace("_", " "),
            f"{alert.observed:.2f}",
            f"{alert.expected:.2f}",
            str(alert.posts),
            str(authors),
            *([terms] if with_terms else []),
        )
    return table


def _line(mood: Mood, alerts: Sequence[Alert], first: int, hours: int, columns: int) -> Text:
    fired = {
        int(alert.fired_at.timestamp()) // 3600
        for alert in alerts
        if isinstance(alert.fired_at, datetime)
    }
    shares: list[float | None] = []
    red: set[int] = set()
    for column in range(columns):
        begin = first + column * hours // columns
        end = max(begin + 1, first + (column + 1) * hours // columns)
        if not fired.isdisjoint(range(begin, end)):
            red.add(column)
        sums = [mood.hours[hour] for hour in range(begin, end) if hour in mood.hours]
        posts = sum(scored for scored, _ in sums)
        shares.append(sum(soft for _, soft in sums) / posts if posts else None)
    present = [share for share in shares if share is not None]
    low, high = min(present), max(present)
    line = Text()
    for column, share in enumerate(shares):
        if share is None:
            line.append(" ")
            continue
        level = (share - low) / (high - low) if high > low else 0.5
        line.append(_BLOCKS[1 + round(level * 7)], style="bold red" if column in red else "blue")
    return line
