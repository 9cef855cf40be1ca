"""The demo's result: a table for a person, one JSON object for a script."""

from collections.abc import Collection

import msgspec
from rich.table import Table

from emostream.demo.tally import Tally


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What went in and what came out."""

    posts: int
    """Acknowledged by Kafka on the input topic."""
    events: int
    """Posts with an event on the output topic."""
    dead_letters: int
    lost: int
    """Posts that are neither: must be 0."""
    redelivered: int
    """Events that came a second time, with the same id."""
    posts_per_s: float | None
    """Over the time from the first post sent to the last event read."""
    latency_p50_ms: float | None
    """From the post's record to its event read back, both over Kafka."""
    latency_p99_ms: float | None
    prompts_per_post: float | None
    """Sent to the model for posts, second askings included, the canary not."""
    valence_pearson: float | None
    """Pearson's r between the model's valence and the human rating; None for fewer than two."""
    first_event_s: float | None
    """From the command to the first event."""
    model: str | None

    @property
    def whole(self) -> bool:
        """Whether nothing was lost."""
        return self.lost == 0


def summarise(
    tally: Tally, *, sent: Collection[str], produce_started: float, command_started: float
) -> Summary:
    """Close the books. `sent` are the ids that Kafka acknowledged; times are Unix seconds."""
    events = len(tally.events)
    seconds = (tally.last_event_at or 0.0) - produce_started
    agreement = tally.agreement().pearson
    first = tally.first_event_at
    return Summary(
        posts=len(sent),
        events=events,
        dead_letters=len(tally.dead),
        lost=tally.lost(sent),
        redelivered=tally.repeated,
        posts_per_s=round(events / seconds, 1) if seconds > 0 else None,
        latency_p50_ms=_rounded(tally.latency_ms(50)),
        latency_p99_ms=_rounded(tally.latency_ms(99)),
        prompts_per_post=round(tally.prompts / events, 2) if events else None,
        valence_pearson=None if agreement is None else round(agreement, 3),
        first_event_s=None if first is None else round(first - command_started, 1),
        model=tally.model,
    )


def summary_table(summary: Summary) -> Table:
    """The summary for a person."""
    table = Table(title="What went in and what came out", title_justify="left", box=None)
    table.add_column(justify="right", style="bold")
    table.add_column()
    lost = f"[green]{summary.lost}[/]" if summary.whole else f"[red]{summary.lost}[/]"
    for value, meaning in (
        (f"{summary.posts:,}", "posts in"),
        (f"{summary.events:,}", "events out"),
        (f"{summary.dead_letters:,}", "dead letters"),
        (lost, "lost"),
        (summary.posts_per_s, "posts/s, as replayed (--rate 0: as fast as it goes)"),
        (f"{summary.latency_p50_ms} / {summary.latency_p99_ms}", "ms latency, p50 / p99"),
        (summary.prompts_per_post, "prompts per post, of the 11 questions of a full profile"),
        (summary.valence_pearson, "Pearson's r of valence with the human ratings"),
        (summary.first_event_s, "seconds from the command to the first event"),
    ):
        table.add_row(str(value), meaning)
    return table


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
