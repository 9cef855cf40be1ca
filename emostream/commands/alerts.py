"""`emostream alerts`: print them, and say what people say of them."""

import getpass
import sys
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter, validators

from emostream.connection import Connection
from emostream.exits import WRONG_USAGE, CommandError, wrong_usage
from emostream.interrupt import run
from emostream.logs import quiet_logs

if TYPE_CHECKING:
    from rich.text import Text

    from monitor.settings import Settings as MonitorSettings
    from runtime.kafka.producing import Outgoing
    from runtime.kafka.topic_log import StoredRecord
    from runtime.registry.values import ValueWriter
    from schemas.alert import Alert, AlertAction

_HELP = """Print the alerts' transitions and what people did with them, oldest first.

**Examples**

```
emostream alerts --last 20
emostream alerts --follow --track climate
emostream alerts --json | jq 'select(.transition == "firing") | .track'
```
"""

app = App(name="alerts", help=_HELP)

Names = Annotated[tuple[str, ...], Parameter(negative=())]
_HUES = {"pending": "yellow", "firing": "bold red", "resolved": "green", "stale": "dim"}


@app.default
def list_(
    *,
    connection: Connection = Connection(),
    topic: str | None = None,
    follow: bool = False,
    last: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None,
    since: datetime | None = None,
    track: Names = (),
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """Print the alerts' transitions and what people did with them, oldest first.

    Args:
        topic: Topic of the alerts. [default: the configuration's]
        follow: Go on with what is written from now on, until Ctrl-C.
        last: So many, the newest.
        since: Written then or later (your time zone, unless it says another).
        track: Of this track only, without what people did.
        json_: The records as they are stored, one a line.
    """
    quiet_logs()
    from emostream.listing import Lines, Range, records
    from monitor.tracks import same_name

    name = topic or connection.monitor_settings().monitor.alerts_topic
    lines = Lines(as_json=json_)
    wanted = {same_name(one) for one in track}

    def belongs(record: "StoredRecord") -> bool:
        if record.value is None or not track:
            return record.value is not None
        return same_name(getattr(_read(record), "track", "")) in wanted

    async def show() -> None:
        chosen = Range(since=since, last=last, follow=follow)
        broker = connection.broker(reading=(name,))
        async for record in records(broker, name, chosen, belongs):
            assert record.value is not None
            lines.write(record.value, partial(line, record))

    run(show())


@app.command
def ack(
    alert: str, *, connection: Connection = Connection(), by: str = "", note: str | None = None
) -> None:
    """Acknowledge an alert: someone looks after it.

    **Examples**

    ```
    emostream alerts ack 3f2a91c0
    emostream alerts ack 3f2a91c0 --note "the strike, see the press office"
    ```

    Args:
        alert: Its id, or the beginning of it, as `emostream alerts` prints it.
        by: Who says it. [default: your name on this machine]
        note: For the others.
    """
    _say(connection, alert, "ack", by, note)


@app.command
def note(alert: str, text: str, *, connection: Connection = Connection(), by: str = "") -> None:
    """Write a note on an alert.

    **Examples**

    ```
    emostream alerts note 3f2a91c0 "a broken signal, fixed at 10:40"
    ```

    Args:
        alert: Its id, or the beginning of it.
        text: The note.
        by: Who says it. [default: your name on this machine]
    """
    _say(connection, alert, "note", by, text)


@app.command(name="false")
def false_(
    alert: str, *, connection: Connection = Connection(), by: str = "", note: str | None = None
) -> None:
    """Report that an alert was a false alarm.

    **Examples**

    ```
    emostream alerts false 3f2a91c0 --note "a quiz show, people quoted its villain"
    ```

    Args:
        alert: Its id, or the beginning of it.
        by: Who says it. [default: your name on this machine]
        note: Why.
    """
    _say(connection, alert, "false", by, note)


@app.command
def mute(
    track: str,
    *,
    connection: Connection = Connection(),
    until: str | None = None,
    weekly: str | None = None,
    zone: str | None = None,
    off: bool = False,
    by: str = "",
    note: str | None = None,
) -> None:
    """Notify nobody of a track, until a time or each week. Its alerts are still written.

    A new mute of a track replaces the one before it.

    **Examples**

    ```
    emostream alerts mute climate --until 8h
    emostream alerts mute climate --weekly "sat,sun 00:00-23:59" --zone Europe/Vienna
    emostream alerts mute climate --off
    ```

    Args:
        track: Name of the track.
        until: A time (your time zone, unless it says another), or a span such as 30m, 8h, 2d.
            [default: until --off]
        weekly: Days and local times, such as "mon-fri 22:00-06:00"; wants zone.
        zone: IANA time zone of weekly.
        off: Take the mute away.
        by: Who says it. [default: your name on this machine]
        note: Why.
    """
    quiet_logs()
    from monitor.mutes import until as read_until
    from monitor.saying import mute_of, mute_record

    with wrong_usage():
        made = None
        if not off:
            now = datetime.now(UTC)
            made = mute_of(
                track,
                by=_who(by),
                at=now,
                until=read_until(until, now) if until else None,
                weekly=weekly,
                zone=zone,
                note=note,
            )
        elif until or weekly or zone:
            raise ValueError("--off takes the mute away: leave out until, weekly and zone")
    settings = connection.monitor_settings()
    topic = settings.monitor.mutes_topic

    async def say() -> None:
        await _look_for_track(connection, settings, track)
        record = mute_record(topic, track, made, await _values(connection, topic))
        await _write(connection, record)

    run(say())


def _say(connection: Connection, alert: str, action: str, by: str, note: str | None) -> None:
    quiet_logs()
    from monitor.saying import action_record, alert_action

    topic = connection.monitor_settings().monitor.alerts_topic

    async def say() -> None:
        found = await _find(connection, topic, alert)
        with wrong_usage():
            now = datetime.now(UTC)
            made = alert_action(found, action, by=_who(by), note=note, at=now)
        values = await _values(connection, topic)
        await _write(connection, action_record(topic, made, values))

    run(say())


async def _find(connection: Connection, topic: str, start: str) -> str:
    """The one alert whose id begins so."""
    from emostream.listing import Range, records
    from schemas.alert import Alert

    if not start.strip():
        raise CommandError(
            "name the alert by its id, or the beginning of it; see: emostream alerts",
            status=WRONG_USAGE,
        )
    found: set[str] = set()
    broker = connection.broker(reading=(topic,))
    async for record in records(broker, topic, Range(), lambda one: bool(one.value)):
        read = _read(record)
        if isinstance(read, Alert) and read.alert_id.startswith(start):
            found.add(read.alert_id)
    if len(found) == 1:
        return found.pop()
    if found:
        raise CommandError(f"{len(found)} alerts begin with {start}: give more of the id")
    raise CommandError(f"no alert {start}; see: emostream alerts")


async def _look_for_track(connection: Connection, settings: "MonitorSettings", track: str) -> None:
    """Say on stderr where no track has this name: it may come to be, or be misspelt."""
    from emostream.plain import visible
    from monitor.live.stored import read_compacted
    from runtime.kafka.errors import KafkaFault
    from runtime.spelling import did_you_mean

    known = {one.name for one in settings.monitor.tracks}
    try:
        stored = await read_compacted(settings.monitor.baselines_topic, connection.broker())
    except KafkaFault:  # it may be that nothing was watched yet, or that we may not read it
        return
    known |= {key.decode(errors="replace") for key in stored}
    if track not in known:
        hint = did_you_mean(track, known)
        sys.stderr.write(f"emostream: no track {visible(track)} is known yet{visible(hint)}\n")


async def _values(connection: Connection, topic: str) -> "ValueWriter":
    """How the topic's values are written: by a schema registry where one is configured."""
    from monitor.registry import value_writer, written_topics

    settings = connection.monitor_settings()
    contracts = {name: one for name, one in written_topics(settings).items() if name == topic}
    return await value_writer(settings.registry, contracts, wait=False)


async def _write(connection: Connection, record: "Outgoing") -> None:
    from runtime.kafka.producing import BoundedProducer, kafka_producer

    async with kafka_producer(connection.broker(), topics=(record.topic,)) as producer:
        bounded = BoundedProducer(producer)
        await bounded.send(record)
        await bounded.drain()
    if bounded.failed:
        raise CommandError(f"Kafka refused it: {', '.join(bounded.errors)}")


def _who(by: str) -> str:
    if by:
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container: a number without a name
        message = "this machine knows no name of yours: say who you are with --by"
        raise CommandError(message, status=WRONG_USAGE) from None


def _read(record: "StoredRecord") -> "Alert | AlertAction | None":
    from schemas.reading import read_alert_record

    return read_alert_record(record.value or b"")


def line(record: "StoredRecord") -> "Text":
    """One record for a person."""
    from rich.text import Text

    from emostream.plain import local, visible
    from schemas.alert import Alert

    read = _read(record)
    if read is None:
        return Text(f"{record.partition}/{record.offset}: not an alert", style="dim")
    when = (f"{local(read.at):%m-%d %H:%M:%S} ", "dim")
    name = (f"{visible(read.alert_id):8.8} ", "dim")
    if not isinstance(read, Alert):
        note = f": {visible(read.note)}" if read.note else ""
        return Text.assemble(when, name, f"{read.action} by {visible(read.by)}{note}")
    authors = f", {read.authors} authors" if isinstance(read.authors, int) else ""
    return Text.assemble(
        when,
        name,
        (f"{read.transition:8} ", _HUES[read.transition]),
        (f"{visible(read.track)} ", "bold"),
        f"{read.severity}: {read.measure} {read.observed:.2f}, expected {read.expected:.2f}",
        f"; {read.posts} posts{authors}",
    )
