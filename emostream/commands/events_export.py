"""`emostream events export`: topics as Parquet files, for DuckDB, pandas, Spark."""

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from emostream.connection import Connection
from emostream.exits import WRONG_USAGE, CommandError, require
from emostream.interrupt import run
from emostream.logs import quiet_logs
from emostream.plain import local

if TYPE_CHECKING:
    from monitor.settings import Settings as MonitorSettings
    from monitor.tables.export import Summary

What = Literal["events", "windows", "alerts", "actions"]


def export(
    *,
    out: Path,
    what: Annotated[tuple[What, ...], Parameter(negative=())] = ("events",),
    since: datetime | None = None,
    until: datetime | None = None,
    topic: str | None = None,
    connection: Connection = Connection(),
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """Write topics as Parquet files: `OUT/events/day=2026-01-31/part-….parquet`, a day in UTC.

    Run again, it writes what is new since; interrupted, it goes on where it was. A file has its
    name once it is whole. Each record is one row of one file: a post that was delivered twice has
    two rows with one `id` (docs/dashboards.md has the view that keeps one). Columns:
    docs/tables.md.

    **Examples**

    ```
    emostream events export --out tables
    emostream events export --out tables --what events --what windows --what alerts
    emostream events export --out january --since 2026-01-01 --until 2026-02-01 --json
    ```

    Args:
        out: Folder; each table gets one below it.
        what: Tables: events, windows, alerts (transitions), actions (what people did with them).
        since: Written to the topic then or later (your time zone, unless it says another). Of a
            folder that was begun, it stays as it was.
        until: Written before. [default: what the topic holds now]
        topic: Read this topic, with a single table. [default: the configuration's]
        json_: One JSON object with what was done.
    """
    quiet_logs()
    since = local(since) if since else None
    until = local(until) if until else None
    if since and until and until <= since:
        raise CommandError("--until has to be later than --since", status=WRONG_USAGE)
    what = tuple(dict.fromkeys(what))
    if topic and len(what) > 1:
        raise CommandError("--topic goes with a single --what", status=WRONG_USAGE)
    settings = connection.monitor_settings()
    topics = {name: topic or topic_of(name, settings) for name in what}
    require("pyarrow")
    done = run(
        _export(connection, topics, out, since, until),
        sentence=f"interrupted: the files in {out} are whole; the same command goes on from here",
    )
    _tell(out, done, as_json=json_)


def topic_of(table: What, settings: "MonitorSettings") -> str:
    """Name the topic that a table's records are on."""
    return {
        "events": settings.output.events_topic,
        "windows": settings.monitor.windows_topic,
        "alerts": settings.monitor.alerts_topic,
        "actions": settings.monitor.alerts_topic,
    }[table]


async def _export(
    connection: Connection,
    topics: dict[What, str],
    out: Path,
    since: datetime | None,
    until: datetime | None,
) -> "list[Summary]":
    from emostream.bar import Bar
    from monitor.tables.export import export as export_table
    from monitor.tables.tables import TABLES
    from runtime.kafka.topic_log import kafka_topic_log

    done = []
    for name, topic in topics.items():
        broker = connection.broker(reading=(topic,))
        async with kafka_topic_log(topic, broker) as log:
            with Bar(f"records of {topic}", 1) as bar:
                done.append(
                    await export_table(
                        log,
                        TABLES[name],
                        topic,
                        out / name,
                        since=since,
                        until=until,
                        registry=broker.values is not None,
                        progress=lambda at, whole: bar.update(at, at / whole if whole else 1),
                    )
                )
    return done


def _tell(out: Path, done: "list[Summary]", *, as_json: bool) -> None:
    import msgspec

    for one in done:
        if one.framed:
            sys.stderr.write(f"emostream: left out: {one.framed}\n")
        if one.held:
            where = ", ".join(
                f"partition {number} from offset {one.next[number]}" for number in one.held
            )
            sys.stderr.write(
                f"{one.topic}: only such values are in {where} on; none of these is skipped: the"
                " same command goes on from there\n"
            )
        if one.lost:
            sys.stderr.write(
                f"{one.topic}: retention deleted {one.lost:,} records before they were exported:"
                " export more often, or keep the topic for longer\n"
            )
    if as_json:
        tables = msgspec.to_builtins(done, str_keys=True)
        sys.stdout.write(msgspec.json.encode({"out": str(out), "tables": tables}).decode() + "\n")
        return
    for one in done:
        skipped = "".join(f"; {count:,} skipped: {why}" for why, count in one.skipped.items())
        sys.stdout.write(
            f"{one.folder}: {one.rows:,} rows in {one.files:,} files, {one.bytes / 1e6:,.1f} MB;"
            f" {one.rows_in_all:,} rows in all{skipped}\n"
        )
