"""The demo's result: a table for a person, one JSON object for a script."""

from collections.abc import Collection
from datetime import datetime

import msgspec
from rich.table import Table
from rich.text import Text

from emostream.demo.story import STORM_TRACK
from emostream.demo.tally import Tally
from schemas.alert import Alert


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What went in and what came out."""

    posts: int
    """Acknowledged by Kafka on the input topic, whatever their role."""
    events: int
    """Posts with an event on the output topic."""
    dead_letters: int
    lost: int
    """Posts that are neither: must be 0."""
    redelivered: int
    """Events that came a second time, with the same id."""
    alerts: int
    """Alerts that fired."""
    alert_delay_s: float | None
    """Event time from the storm's first post to the firing of its alert; None without one."""
    false_alerts: int
    """Alerts that fired for anything but the storm."""
    posts_per_s: float | None
    """Over the time from the first post sent to the last event read."""
    latency_p50_ms: float | None
    """From the post's hand-over to its event read back, both over Kafka."""
    latency_p99_ms: float | None
    prompts_per_post: float | None
    """Sent to the model for posts, second askings included, the canary not."""
    valence_pearson: float | None
    """Pearson's r between the model's valence and the human rating; None for fewer than two."""
    first_event_s: float | None
    """From the command to the first event."""
    model: str | None
    interrupted: bool = False
    """Whether it was stopped before its end: what was under way then counts as lost in no sense."""

    @property
    def whole(self) -> bool:
        """Whether nothing was lost."""
        return self.lost == 0 or self.interrupted


def summarise(
    tally: Tally,
    *,
    sent: Collection[str],
    storm_at: datetime | None,
    produce_started: float,
    command_started: float,
    interrupted: bool = False,
) -> Summary:
    """Close the books. `sent` are the ids that Kafka acknowledged; times are Unix seconds."""
    events = len(tally.events)
    seconds = (tally.last_event_at or 0.0) - produce_started
    agreement = tally.agreement().pearson
    first = tally.first_event_at
    fired = [alert for alert in tally.fired.values() if alert.kind == "spike"]
    right = [alert for alert in fired if _of_the_storm(alert, storm_at)]
    return Summary(
        posts=len(sent),
        events=events,
        dead_letters=len(tally.dead),
        lost=tally.lost(sent),
        redelivered=tally.repeated,
        alerts=len(fired),
        alert_delay_s=_delay_s(right, storm_at),
        false_alerts=len(fired) - len(right),
        posts_per_s=round(events / seconds, 1) if seconds > 0 else None,
        latency_p50_ms=_rounded(tally.latency_ms(50)),
        latency_p99_ms=_rounded(tally.latency_ms(99)),
        prompts_per_post=round(tally.prompts / events, 2) if events else None,
        valence_pearson=None if agreement is None else round(agreement, 3),
        first_event_s=None if first is None else round(first - command_started, 1),
        model=tally.model,
        interrupted=interrupted,
    )


def summary_table(summary: Summary) -> Table:
    """The summary for a person: each figure with a line that explains it, none without a value."""
    table = Table(title="What went in and what came out", title_justify="left", box=None)
    table.add_column(justify="right", style="bold", no_wrap=True)
    table.add_column()
    lost = Text(f"{summary.lost:,}", style="green" if summary.lost == 0 else "red")
    under_way = "still under way when you stopped it" if summary.interrupted else "lost"
    rows: list[tuple[object, str]] = [
        (f"{summary.posts:,}", "posts in: acknowledged by Kafka"),
        (f"{summary.events:,}", "events out: posts with an affect event on the output topic"),
        (f"{summary.dead_letters:,}", "dead letters: posts that no event could be made of"),
        (lost, under_way),
        (summary.alerts, "alerts that fired"),
    ]
    if summary.alert_delay_s is not None:
        minutes = f"{summary.alert_delay_s / 60:.1f} min"
        rows.append((minutes, "of event time from the storm's first post to its alert"))
    if summary.false_alerts:
        rows.append((summary.false_alerts, "of them for something else than the storm"))
    if summary.posts_per_s is not None:
        rows.append((summary.posts_per_s, "posts/s on average, the live part by its own clock"))
    if summary.latency_p50_ms is not None and summary.latency_p99_ms is not None:
        both = f"{summary.latency_p50_ms:,.0f} / {summary.latency_p99_ms:,.0f} ms"
        rows.append((both, "from post to event in the live part, p50 / p99"))
    if summary.prompts_per_post is not None:
        rows.append((summary.prompts_per_post, "prompts a post, of the 11 of a full profile"))
    if summary.valence_pearson is not None:
        rows.append((summary.valence_pearson, "Pearson's r of valence with ten people's ratings"))
    if summary.first_event_s is not None:
        rows.append((f"{summary.first_event_s} s", "from the command to the first event"))
    for value, meaning in rows:
        table.add_row(value if isinstance(value, Text) else str(value), meaning)
    return table


def _of_the_storm(alert: Alert, storm_at: datetime | None) -> bool:
    at = alert.fired_at if isinstance(alert.fired_at, datetime) else alert.at
    return storm_at is not None and alert.track == STORM_TRACK and at >= storm_at


def _delay_s(right: list[Alert], storm_at: datetime | None) -> float | None:
    times = [alert.fired_at for alert in right if isinstance(alert.fired_at, datetime)]
    if storm_at is None or not times:
        return None
    return round((min(times) - storm_at).total_seconds(), 1)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
