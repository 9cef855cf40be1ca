"""One topic into one table's folder: stretch by stretch, each either exported or not begun."""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import msgspec

from monitor.tables.columns import Table, Unreadable
from monitor.tables.errors import ValuesFramed
from monitor.tables.folder import Folder, Progress, open_folder, same_topic
from monitor.tables.parquet import Rows, write_parquet
from runtime.kafka.topic_log import Span, StoredRecord
from runtime.registry.framing import read_framing

STRETCH_RECORDS: Final = 100_000
"""Of one partition, in one file for each day: tens of MB in memory and on the disk."""
STRETCH_BYTES: Final = 64 * 1024 * 1024
"""Of records' values; bounds memory where records are large. Some 300 MB in all."""
TOMBSTONE: Final = "tombstone"
FRAMED: Final = "framed by a schema registry, and none is configured"
"""Why a record was skipped: one that only looks like it may be broken, and hides no other."""
HELD_RECORDS: Final = 10_000
"""So many framed ones in a row are no accident: nothing is looked for behind them."""
_TELL_EVERY: Final = 1_000


class Source(Protocol):
    """What is exported: `runtime.kafka.topic_log.KafkaTopicLog`."""

    async def topic_id(self) -> str:
        """The topic's id; empty where the brokers don't tell."""

    async def held(self) -> dict[int, Span]:
        """What each partition holds now."""

    async def offsets_at(self, moment: datetime) -> dict[int, int]:
        """The first offset of each partition that was written then or later, else its end."""

    def read(self, spans: Mapping[int, Span]) -> AsyncGenerator[StoredRecord, None]:
        """Yield the records of these spans; in order within a partition."""


class Summary(msgspec.Struct, kw_only=True):
    """What one run did."""

    table: str
    topic: str
    folder: str
    rows: int = 0
    """Written by this run."""
    files: int = 0
    bytes: int = 0
    """Of these files."""
    skipped: dict[str, int] = {}
    """Records that gave no row, by the reason; not those of another table of the topic."""
    framed: str = ""
    """Of the first record that a schema registry frames, while none is configured: where it is, and
    what to do."""
    held: list[int] = []
    """Partitions exported up to where only such records follow; the next run looks again."""
    lost: int = 0
    """Offsets that retention deleted before they were exported."""
    rows_in_all: int = 0
    """In the folder, those of earlier runs included."""
    next: dict[int, int] = {}
    """By partition: the first offset that isn't exported."""


async def export(
    source: Source,
    table: Table,
    topic: str,
    folder: Path,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    progress: Callable[[int, int], None] = lambda _done, _whole: None,
    stretch_records: int = STRETCH_RECORDS,
    stretch_bytes: int = STRETCH_BYTES,
    registry: bool = False,
) -> Summary:
    """Write what isn't in the folder yet of the records written to the topic in [since, until).

    By Kafka's own index of the records' times. Without `until`, up to what the topic holds now.
    Whenever it is stopped, the next run goes on where it was; each record is in one file, once.
    `progress` is told how many offsets of how many are done. `registry` says that the source reads
    what a schema registry frames; else framed records among others are skipped, and those that no
    other follows are left for the next run, since a registry may have been introduced there.

    Raises:
        WrongFolder: the folder belongs to another export.
        FolderBusy: another process writes there.
        FolderFailed: the operating system refused.
        ValuesFramed: all that is new is framed, and `registry` is False.
        runtime.kafka.errors.KafkaFault: the brokers did.
    """
    held = await source.held()
    starts = {number: span.start for number, span in held.items()}
    ends = {number: span.end for number, span in held.items()}
    wanted = Progress(
        table=table.name,
        topic=topic,
        topic_id=await source.topic_id(),
        since=since.astimezone(UTC).isoformat() if since else None,
    )
    with open_folder(folder) as opened:
        if opened.progress is None:
            opened.begin(wanted)
        assert opened.progress is not None
        state = opened.progress
        same_topic(state, wanted, ends, folder)  # before `until` shortens them
        if state.since is not None:
            starts |= await source.offsets_at(datetime.fromisoformat(state.since))
        if until is not None:
            by_then = await source.offsets_at(until)
            ends = {number: min(end, by_then.get(number, end)) for number, end in ends.items()}
        opened.clean()
        summary = Summary(table=table.name, topic=topic, folder=str(folder))
        spans = {}
        for number, span in sorted(held.items()):
            begin = state.next.get(number, starts[number])
            summary.lost += max(0, span.start - begin)
            # `starts` is later than what is exported where a run was made before `since` had come.
            begin = max(begin, span.start, starts[number])
            spans[number] = Span(begin, max(begin, ends[number]))
        run = _Run(
            source, table, opened, summary, (stretch_records, stretch_bytes), registry=registry
        )
        whole = sum(span.end - span.start for span in spans.values())
        done = 0
        for number, span in spans.items():
            async for at in run.partition(number, span):
                progress(done + at - span.start, whole)
            done += span.end - span.start
        if summary.held and not run.others:
            raise ValuesFramed(summary.framed)
        summary.rows_in_all = state.rows
        summary.next = dict(sorted(state.next.items()))
        summary.skipped = dict(sorted(summary.skipped.items()))
        return summary


class _Run:
    """One run over the partitions of a topic."""

    def __init__(
        self,
        source: Source,
        table: Table,
        folder: Folder,
        summary: Summary,
        limits: tuple[int, int],
        *,
        registry: bool,
    ) -> None:
        assert folder.progress is not None
        self._source = source
        self._table = table
        self._folder = folder
        self._state = folder.progress
        self._summary = summary
        self._registry = registry
        self.others = False
        """Whether a record came that no registry frames, or that one reads."""
        self._most_records, self._most_bytes = limits

    async def partition(self, number: int, span: Span) -> AsyncIterator[int]:
        """Export a span of one partition; yield now and then the offset that it is at."""
        first, rows, skipped, size, records = span.start, Rows(self._table), Counter[str](), 0, 0
        held, held_from = 0, span.end  # framed ones that nothing else followed so far
        async with aclosing(self._source.read({number: span})) as source:
            async for record in source:
                reason = self._add(rows, record)
                if reason == FRAMED:
                    held, held_from = held + 1, min(held_from, record.offset)
                    if held >= HELD_RECORDS:
                        break
                elif reason:
                    skipped[reason] += 1
                if reason not in (FRAMED, TOMBSTONE):
                    self.others = True
                    if held:
                        skipped[FRAMED] += held
                        held, held_from = 0, span.end
                size += len(record.value or b"")
                records += 1
                if records >= self._most_records or size >= self._most_bytes:
                    after = min(held_from, record.offset + 1)
                    self._write(number, first, after, rows, skipped)
                    first, rows, skipped = after, Rows(self._table), Counter()
                    size = records = 0
                if records % _TELL_EVERY == 0:
                    yield record.offset + 1
        self._write(number, first, held_from, rows, skipped)
        if held:
            self._summary.held.append(number)
        yield span.end

    def _add(self, rows: Rows, record: StoredRecord) -> str:
        """Add a record's row; or why it has none."""
        if record.value is None:
            return TOMBSTONE
        try:
            row = self._table.row(record.value)
        except Unreadable as error:
            framed = read_framing(record.value, record.headers)
            if framed is None:
                return str(error)
            if self._registry:
                return "its schema can't be read by"
            self._summary.framed = self._summary.framed or (
                f"{self._summary.topic}, partition {record.partition}, offset {record.offset}:"
                f" the value is framed by a schema registry (schema {framed.ref}): name the"
                " registry in registry.urls (docs/schema-registry.md)"
            )
            return FRAMED
        if row is not None:
            rows.add(row, record.partition, record.offset, _written_at(record.timestamp_ms))
        return ""

    def _write(
        self, number: int, first: int, after: int, rows: Rows, skipped: Counter[str]
    ) -> None:
        """Write a stretch's files, then move on."""
        if self._state.next.get(number) == after:
            return
        summary, state = self._summary, self._state
        if rows:
            for day, content in rows.by_day():
                summary.bytes += self._folder.put(
                    day, number, first, partial(write_parquet, content)
                )
                summary.files += 1
                state.files += 1
        state.rows += len(rows)
        state.next[number] = after
        self._folder.keep(state)
        summary.rows += len(rows)
        summary.skipped = dict(Counter(summary.skipped) + skipped)


def _written_at(timestamp_ms: int) -> datetime | None:
    """Give a record's own time; None where it is none: producers may write microseconds there."""
    try:
        return datetime.fromtimestamp(max(0, timestamp_ms) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
