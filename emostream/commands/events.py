"""`emostream events`: what was read in the posts, as it comes out of the consumer."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter, validators

from emostream.commands.events_export import export
from emostream.connection import Connection
from emostream.interrupt import run
from emostream.logs import quiet_logs

if TYPE_CHECKING:
    from rich.text import Text

    from monitor.settings import Settings as MonitorSettings
    from runtime.kafka.topic_log import StoredRecord

_HELP = """Print affect events, oldest first, or write them as Parquet files.

**Examples**

```
emostream events --last 20
emostream events --follow --track climate
emostream events --since 2026-01-31T08:00:00 --json | jq .sentiment.valence
emostream events export --out tables
```
"""

app = App(name="events", help=_HELP)
app.command(export)

Names = Annotated[tuple[str, ...], Parameter(negative=())]


@app.default
def events(
    *,
    connection: Connection = Connection(),
    topic: str | None = None,
    follow: bool = False,
    last: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None,
    since: datetime | None = None,
    track: Names = (),
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """Print affect events, oldest first: all that are kept, or go on with the new ones.

    A line has the time of the post, its valence from 0 (negative) to 1, its emotions and its text;
    control and bidirectional characters of strangers are shown, not obeyed.

    Args:
        topic: Topic of the events. [default: the configuration's]
        follow: Go on with what is written from now on, until Ctrl-C.
        last: So many, the newest.
        since: Written to the topic then or later (your time zone, unless it says another).
        track: Of this track only, by its name in the configuration, or of this topic tag.
        json_: The events as they are stored, one a line.
    """
    quiet_logs()
    from emostream.listing import Lines, Range, records

    settings = connection.monitor_settings()
    belongs = _filter(settings, track)
    lines = Lines(as_json=json_)

    async def show() -> None:
        chosen = Range(since=since, last=last, follow=follow)
        name = topic or settings.output.events_topic
        broker = connection.broker(reading=(name,))
        async for record in records(broker, name, chosen, belongs):
            assert record.value is not None
            lines.write(record.value, partial(line, record))

    run(show())


def line(record: "StoredRecord") -> "Text":
    """One event for a person. What is no event is shown by its place on the topic."""
    import msgspec
    from rich.text import Text

    from emostream.plain import local, visible
    from monitor.events import decode

    try:
        event = decode(record.value or b"")
    except msgspec.DecodeError:
        return Text(f"{record.partition}/{record.offset}: not an affect event", style="dim")
    valence = None if event.sentiment is None else event.sentiment.valence
    emotions = ("?",) if event.emotions is None else event.emotions
    what = ", ".join(map(visible, emotions[:2])) or "neutral"
    where = event.source or event.lang or ""
    return Text.assemble(
        (f"{local(event.created_at):%m-%d %H:%M:%S} ", "dim"),
        _valence(valence),
        (f"{what:20.20} ", "cyan"),
        (f"{visible(where):8.8} ", "dim"),
        visible(event.text or ""),
    )


def _valence(valence: object) -> tuple[str, str]:
    if not isinstance(valence, float):
        return "   ? ", "dim"
    return f"{valence:.2f} ", "red" if valence < 0.43 else "yellow" if valence < 0.6 else "green"


def _filter(
    settings: "MonitorSettings", tracks: tuple[str, ...]
) -> Callable[["StoredRecord"], bool]:
    import msgspec

    from monitor.configured import rules
    from monitor.events import decode
    from monitor.tracks import TrackMatcher
    from monitor.tracks.names import same_name

    wanted = {same_name(name) for name in tracks}
    named = TrackMatcher(tuple(rule for rule in rules(settings) if rule.name in tracks))

    def belongs(record: "StoredRecord") -> bool:
        if record.value is None:  # a tombstone
            return False
        if not wanted:
            return True
        try:
            event = decode(record.value)
        except msgspec.DecodeError:
            return False
        if any(same_name(tag) in wanted for tag in event.topics):
            return True
        return bool(named.match(event))

    return belongs
