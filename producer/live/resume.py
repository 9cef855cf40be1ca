"""Where to go on: the largest watermark at the topic's end, and what was sent there last.

Read from the topic itself, so that the place and the posts can't disagree, and nothing else has to
be kept: a crash, a moved container and a lost disk are all the same.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

import msgspec

from producer.live import headers
from producer.live.sent import Sent, digest_of
from runtime.kafka.topic_log import Span, StoredRecord, TopicLog
from schemas import Post

_FIRST_RECORDS = 2_000
"""Of each partition, from its end: a minute of a busy stream on each of a few partitions."""
_FACTOR = 4
"""Each further look goes back so many times as far, while a source has not been found."""
_MOST_RECORDS = 500_000
"""All looks together: some 15 s. A new source on a busy topic is not looked for any longer."""

_author = msgspec.json.Decoder(Post).decode


class _Read(NamedTuple):
    """What is kept of a record that was read back: its value may be large."""

    timestamp_ms: int
    offset: int
    key: str
    source: str
    version: str
    alias: str
    digest: bytes | None
    """Of the value; None for a tombstone."""
    author: str


class Resume(msgspec.Struct, frozen=True):
    """What the topic's end says."""

    watermarks: Mapping[str, int]
    """By source, Unix microseconds; none for a source that has nothing there."""
    sent: Sent


async def read_back(log: TopicLog, sources: Collection[str], *, remember: int) -> Resume:
    """Read the end of a topic for these sources.

    Looks at the last records of each partition first, and further back while a source is missing,
    however old they are: a source tells by its old watermark that posts are lost, and a feed has
    entries of last month. `remember` is how many posts are remembered at most.

    Raises:
        ReadingStalled: the broker stopped giving records.
    """
    whole = await log.spans()
    watermarks: dict[str, int] = {}
    records: list[_Read] = []
    taken = {partition: span.end for partition, span in whole.items()}
    size = max(_FIRST_RECORDS, remember // max(len(whole), 1))
    looked = 0
    while looked < _MOST_RECORDS and any(taken[p] > span.start for p, span in whole.items()):
        spans = {
            partition: Span(max(span.start, taken[partition] - size), taken[partition])
            for partition, span in whole.items()
        }
        room = remember - len(records)
        async for record in log.read(spans):
            looked += 1
            found = headers.read(record.headers)
            if found is None or found.source not in sources:
                continue
            if room > 0 and record.key is not None:
                records.append(_read(record, record.key, found))
            watermarks[found.source] = max(found.watermark, watermarks.get(found.source, 0))
        taken = {partition: span.start for partition, span in spans.items()}
        if watermarks.keys() >= set(sources):
            break
        size *= _FACTOR
    return Resume(watermarks, _remembered(records, remember))


def _read(record: StoredRecord, key: bytes, found: headers.LiveHeaders) -> _Read:
    value = record.value
    return _Read(
        timestamp_ms=record.timestamp_ms,
        offset=record.offset,
        key=key.decode(errors="replace"),
        source=found.source,
        version=found.version,
        alias=found.alias,
        digest=None if value is None else digest_of(value),
        author="" if value is None else _author_of(value),
    )


def _remembered(records: list[_Read], most: int) -> Sent:
    sent = Sent(most)
    # Within a partition by offset; between partitions the order says only what is forgotten first.
    for one in sorted(records, key=lambda one: (one.timestamp_ms, one.offset)):
        if one.digest is None:
            sent.remember_deleted(one.key, one.version, source=one.source)
        elif sent.is_news(one.key, one.version, one.digest):
            sent.remember(
                one.key,
                source=one.source,
                version=one.version,
                digest=one.digest,
                author=one.author,
                alias=one.alias,
            )
    return sent


def _author_of(value: bytes) -> str:
    try:
        return _author(value).author or ""
    except (msgspec.DecodeError, UnicodeError):
        return ""
