"""`replay`: a file of posts into a topic, at a rate, once or over and over."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from producer.errors import NoSuchColumn
from producer.feed import Feed, OnBadLine, Source
from producer.files import STDIN, FileFormat, PostFile, Row
from producer.mapping import columns
from producer.report import BadLine, BadLineObserver, Observer, Report
from runtime.clock import Clock
from runtime.kafka.connection import Broker
from runtime.kafka.producing import (
    BoundedProducer,
    Delivery,
    Outgoing,
    RecordProducer,
    kafka_producer,
)
from schemas import Post
from schemas.foreign import DottedPath, FieldPaths, NotAPost, PostReader

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, kw_only=True)
class ReplaySettings:
    """What to replay, and how fast."""

    path: str
    """A file, gzipped if it ends in `.gz`; `-` for stdin."""
    topic: str = "posts"
    file_format: FileFormat | None = None
    """By the file's name where None: `.csv`, `.tsv`, else JSON lines."""
    fields: FieldPaths = field(default_factory=FieldPaths)
    default_source: str | None = None
    """`source` of posts that name none."""
    rate: float | None = None
    """Posts per second; None for as fast as the broker takes them."""
    loop: bool = False
    """Start again at the end. From the second round on `~2`, `~3`, … is added to the ids."""
    limit: int | None = None
    """At most so many posts."""
    stamp_now: bool = False
    """Give each post the time of its sending as `created_at`, as if it were written now."""
    on_bad_line: OnBadLine = "skip"
    delivery: Delivery = field(default_factory=Delivery)

    def __post_init__(self) -> None:
        """Refuse what makes no sense, with a ValueError."""
        if self.loop and self.path == STDIN:
            raise ValueError("a pipe can't be replayed in a loop")


async def replay_file(
    settings: ReplaySettings,
    broker: Broker,
    *,
    observer: Observer | None = None,
    bad_line_observer: BadLineObserver | None = None,
    stop: asyncio.Event | None = None,
    clock: Clock | None = None,
    producer: RecordProducer | None = None,
) -> Report:
    """Replay a file into a topic; the key of each record is the post's id.

    Setting `stop` ends the run in good order: what is in flight is waited for, what is left in
    the file isn't a failure. `producer` takes the place of a Kafka producer (for tests).

    Raises:
        UnreadableFile: the file isn't there.
        Unreachable, TopicMissing: before anything is read.
    """
    stop = stop or asyncio.Event()
    file = PostFile(settings.path, file_format=settings.file_format)
    undated = Undated()

    async def run(through: RecordProducer) -> Report:
        feed = Feed(
            BoundedProducer(through, settings.delivery),
            rate=settings.rate,
            limit=settings.limit,
            on_bad_line=settings.on_bad_line,
            observer=observer,
            bad_line_observer=bad_line_observer,
            fraction=None if settings.loop else lambda: file.fraction,
            stop=stop,
            clock=clock,
        )
        report = await feed.run(_records(settings, file, stop, undated))
        return msgspec.structs.replace(report, unreadable_times=undated.posts)

    if producer is not None:
        return await run(producer)
    async with kafka_producer(broker, settings.delivery, topics=[settings.topic]) as kafka:
        return await run(kafka)


@dataclass
class Undated:
    """Counts the posts whose time is in no known form."""

    posts: int = 0


def outgoing(post: Post, topic: str) -> Outgoing:
    """The record of a post: JSON, keyed by its id."""
    return Outgoing(topic=topic, key=post.id.encode(), value=_encode(post))


async def _records(
    settings: ReplaySettings, file: PostFile, stop: asyncio.Event, undated: Undated
) -> Source:
    round_ = 1
    while True:
        empty = True
        async for item in posts_of(settings, file, stop, undated if round_ == 1 else None):
            if isinstance(item, BadLine):
                if round_ == 1:  # the same ones again tell nothing new
                    yield item
                continue
            empty = False
            post = item
            if round_ > 1:
                post = msgspec.structs.replace(post, id=f"{post.id}~{round_}")
            if settings.stamp_now:
                post = msgspec.structs.replace(post, created_at=datetime.now(UTC))
            yield outgoing(post, settings.topic)
        if not settings.loop or empty or stop.is_set():
            return
        round_ += 1


async def posts_of(
    settings: ReplaySettings,
    file: PostFile,
    stop: asyncio.Event,
    undated: Undated | None = None,
) -> AsyncIterator[Post | BadLine]:
    """Yield the posts of a file, and the lines that are none; count in `undated`.

    Raises:
        UnreadableFile: a file of another kind than its name says, or a header that can't be read.
        NoSuchColumn: the header lacks a column of the mapping.
    """
    reader = PostReader(settings.fields, default_source=settings.default_source)
    checked = file.format == "jsonl"  # JSON has no header that could be wrong as a whole
    name = Path(settings.path).name if settings.path != STDIN else "stdin"
    async for row in file.rows(stop):
        if isinstance(row, BadLine):
            yield row
            continue
        if not checked:
            _check_header(settings.fields, row, name)
            checked = True
        try:
            read = reader.read(row.value, position=f"{name}:{row.line}")
        except NotAPost as error:
            yield BadLine(line=row.line, reason=str(error))
            continue
        if undated is not None and read.unreadable_time and not settings.stamp_now:
            undated.posts += 1
        yield read.post


def _check_header(paths: FieldPaths, row: Row, name: str) -> None:
    """Refuse paths to columns which aren't there: every line would be bad."""
    for field_name, column in columns(paths):
        if DottedPath(column).find(row.value) is None:
            raise NoSuchColumn(name, field=field_name, column=column, names=tuple(row.value))
