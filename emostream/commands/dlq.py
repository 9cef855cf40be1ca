"""`emostream dlq`: what became a dead letter, why, and once more."""

import asyncio
import json
import re
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter, validators

from consumer.dead_letters import Reason, Stage
from emostream.connection import Connection
from emostream.exits import FAILED, INTERRUPTED, WRONG_USAGE, CommandError, wrong_usage
from emostream.interrupt import run, run_until_stopped
from emostream.logs import quiet_logs
from emostream.plain import local
from producer import (
    DeadLetterFilter,
    DlqReplayReport,
    DlqReplaySettings,
    describe,
    list_dead_letters,
    replay_dead_letters,
    show_dead_letter,
)
from runtime.spelling import did_you_mean

app = App(name="dlq", help="Dead letters: list them, look at one, send them back.")

AsJson = Annotated[bool, Parameter(name="--json")]
Names = Annotated[tuple[str, ...], Parameter(negative=())]


@app.command(name="list")
def list_(
    *,
    connection: Connection = Connection(),
    topic: str | None = None,
    class_: Annotated[Names, Parameter(name="--class")] = (),
    from_topic: Names = (),
    stage: Names = (),
    since: str | None = None,
    until: str | None = None,
    limit: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 20,
    json_: AsJson = False,
) -> None:
    """List dead letters, newest last, and count them by class. Nothing of a post is shown.

    **Examples**

    ```
    emostream dlq list --bootstrap localhost:9092
    emostream dlq list --class EmptyText --since 2h --json
    ```

    Args:
        topic: Dead-letter topic. [default: the configuration's]
        class_: Error classes only, such as NotJson; docs/delivery.md has them all.
        from_topic: Dead letters from these input topics only.
        stage: Stages only: decode, plan, infer, read, publish.
        since: Written then or later: a time (your time zone), or how long ago (90s, 30m, 2h, 7d).
        until: Written before, likewise.
        limit: Dead letters to list; all are counted.
        json_: One JSON object.
    """
    quiet_logs()
    chosen = _filter(class_, from_topic, stage, since, until)
    settings = connection.settings()
    listing = run(
        list_dead_letters(
            connection.broker(settings),
            topic=topic or settings.output.dlq_topic,
            dead_letter_filter=chosen,
            limit=limit,
        )
    )
    if json_:
        _write_json(listing)
        return
    for entry in listing.dead_letters:
        sys.stdout.write(
            f"{entry.partition}/{entry.offset}  {entry.written_at:%Y-%m-%d %H:%M:%S}"
            f"  {entry.stage}:{entry.class_name}  {entry.from_topic}/{entry.from_partition}"
            f"/{entry.from_offset}  {entry.value_bytes} B  {entry.message}\n"
        )
    counts = ", ".join(f"{name} {count}" for name, count in listing.by_class.items())
    sys.stdout.write(
        f"{listing.matched:,} dead letter{'' if listing.matched == 1 else 's'}"
        + (f": {counts}\n" if counts else "\n")
    )
    if listing.unreadable:
        sys.stdout.write(f"{listing.unreadable:,} records on the topic are no dead letters\n")


@app.command
def show(
    place: str,
    *,
    connection: Connection = Connection(),
    topic: str | None = None,
    value: bool = False,
) -> None:
    """Show one dead letter with all its headers, as JSON.

    **Examples**

    ```
    emostream dlq show 2/17
    emostream dlq show 2/17 --value
    ```

    Args:
        place: PARTITION/OFFSET, as `emostream dlq list` writes it.
        topic: Dead-letter topic. [default: the configuration's]
        value: The record's key and value, too: a person's post.
    """
    quiet_logs()
    try:
        partition, offset = (int(part) for part in place.split("/"))
    except ValueError:
        message = "PLACE is PARTITION/OFFSET, such as 2/17"
        raise CommandError(message, status=WRONG_USAGE) from None
    settings = connection.settings()
    stored = run(
        show_dead_letter(
            connection.broker(settings),
            partition,
            offset,
            topic=topic or settings.output.dlq_topic,
        )
    )
    sys.stdout.write(json.dumps(describe(stored, with_value=value), indent=2, default=str) + "\n")


@app.command
def replay(
    *,
    connection: Connection = Connection(),
    topic: str | None = None,
    to: str | None = None,
    class_: Annotated[Names, Parameter(name="--class")] = (),
    from_topic: Names = (),
    stage: Names = (),
    since: str | None = None,
    until: str | None = None,
    limit: Annotated[int | None, Parameter(validator=validators.Number(gt=0))] = None,
    rate: Annotated[float | None, Parameter(validator=validators.Number(gt=0))] = None,
    max_replays: Annotated[int, Parameter(validator=validators.Number(gte=1))] = 3,
    group: str | None = None,
    dry_run: bool = False,
    json_: AsJson = False,
) -> int:
    """Send dead letters back to where they came from, after their cause is corrected.

    Each record carries a count of its replays; one that came back too often is refused, so that
    it can't go round endlessly. Exit status 1 when one was refused or not written. Ctrl-C ends it
    when what was sent is written, and remembered.

    **Examples**

    ```
    emostream dlq replay --class Unanswered --dry-run
    emostream dlq replay --class Unanswered --group dlq-replay
    ```

    Args:
        topic: Dead-letter topic. [default: the configuration's]
        to: Topic to send to. [default: each one's own]
        class_: Error classes only.
        from_topic: Dead letters from these input topics only.
        stage: Stages only.
        since: Written then or later: a time (your time zone), or how long ago (90s, 30m, 2h, 7d).
        until: Written before, likewise.
        limit: At most so many.
        rate: Dead letters a second.
        max_replays: Refuse a record that was replayed this often.
        group: Remember under this name what was replayed; else each call starts at the oldest. One
            call at a time: two at once each send all.
        dry_run: Count only.
        json_: The report as one JSON object.
    """
    quiet_logs()
    settings = connection.settings()
    with wrong_usage():
        chosen = DlqReplaySettings(
            topic=topic or settings.output.dlq_topic,
            dead_letter_filter=_filter(class_, from_topic, stage, since, until),
            to_topic=to,
            max_replays=max_replays,
            limit=limit,
            rate=rate,
            dry_run=dry_run,
            group=group,
        )
    broker = connection.broker(settings)

    async def work(stop: asyncio.Event) -> DlqReplayReport:
        return await replay_dead_letters(chosen, broker, stop=stop)

    report, interrupted = run_until_stopped(work)
    if json_:
        _write_json(report)
    else:
        verb = "would be replayed" if dry_run else "replayed"
        sys.stdout.write(f"{report.replayed:,} of {report.matched:,} dead letters {verb}\n")
        for name, count in report.older_than_retention.items():
            sys.stdout.write(
                f"{count:,} of them are older than the retention.ms of {name}: Kafka may delete"
                " them within minutes, before they are read, unless newer records follow\n"
            )
        if report.refused:
            samples = ", ".join(f"{p}/{o}" for p, o in report.refused_samples)
            sys.stdout.write(
                f"{report.refused:,} refused, replayed {max_replays} times already or without their"
                f" value (output.identifiers): {samples}\n"
            )
        if report.failed or report.failure:
            errors = ", ".join(f"{name} {count:,}" for name, count in report.errors.items())
            sys.stdout.write(f"{report.failed:,} not written: {report.failure or errors}\n")
    if not report.ok:
        return FAILED
    return INTERRUPTED if interrupted else 0


def _filter(
    classes: tuple[str, ...],
    topics: tuple[str, ...],
    stages: tuple[str, ...],
    since: str | None,
    until: str | None,
) -> DeadLetterFilter:
    return DeadLetterFilter(
        class_names=frozenset(known("--class", classes, Reason)),
        topics=frozenset(topics),
        stages=frozenset(known("--stage", stages, Stage)),
        since=moment(since, datetime.now(UTC)) if since else None,
        until=moment(until, datetime.now(UTC)) if until else None,
    )


def known(option: str, names: Iterable[str], kind: type[StrEnum]) -> Iterator[str]:
    """Give each name as it is written in dead letters, whatever its case.

    Raises:
        CommandError: there is no such name, status 2; the message has the closest, and all.
    """
    spelt = {str(one).lower(): str(one) for one in kind}
    for name in names:
        if name.lower() not in spelt:
            message = f"{option} {name}: there is none{did_you_mean(name, spelt.values())}"
            every = f" ({', '.join(spelt.values())})"
            raise CommandError(message + every, status=WRONG_USAGE)
        yield spelt[name.lower()]


def moment(text: str, now: datetime) -> datetime:
    """Read a time, or how long before `now`: `90s`, `30m`, `2h`, `7d`.

    Raises:
        CommandError: it is neither, status 2.
    """
    try:
        if (ago := re.fullmatch(r"(\d{1,6})([smhd])", text)) is not None:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return local(datetime.fromisoformat(text))
    except (ValueError, OverflowError):  # the latter: before the calendar begins
        message = f"{text} is no time: give 2026-01-31T08:00:00, or how long ago, such as 2h or 7d"
        raise CommandError(message, status=WRONG_USAGE) from None


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _write_json(value: Any) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
