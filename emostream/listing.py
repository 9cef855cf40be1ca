"""What `emostream events` and `emostream alerts` share: a topic as lines, once or for good."""

import sys
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from emostream.exits import WRONG_USAGE, CommandError
from runtime.kafka.topic_log import Span, StoredRecord, kafka_topic_log
from runtime.registry.framing import read_framing

if TYPE_CHECKING:
    from runtime.kafka.connection import Broker

_JSON_BEGINS = (b"{", b"")
"""What our values begin with: nothing else is looked at twice."""
_LAST_ROUND = 1_000
"""Records looked at first for `--last`; twice as many each time that they don't suffice."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """Which records of a topic."""

    since: datetime | None = None
    """Written then or later; without an offset in this machine's time zone."""
    last: int | None = None
    """So many of those that match, the newest."""
    follow: bool = False
    """Go on with what is written from now on."""


class Lines:
    """Standard output: JSON as it is stored, or a line for a person.

    A line is cut to a terminal's width; in a pipe or a file it is whole.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._console = Console(file=sys.stdout, highlight=False, markup=False)

    def write(self, value: bytes, line: Callable[[], Text]) -> None:
        """Write one record."""
        if self._as_json:
            # Nothing but a newline would break a line in two, and JSON needs none.
            sys.stdout.write(value.decode("utf-8", "replace").replace("\n", " ") + "\n")
        else:
            text = line()
            if self._console.is_terminal:
                text.truncate(self._console.width, overflow="ellipsis")
            self._console.print(text, no_wrap=True, crop=False, soft_wrap=True)
        sys.stdout.flush()


async def records(
    broker: "Broker", topic: str, chosen: Range, matches: Callable[[StoredRecord], bool]
) -> AsyncGenerator[StoredRecord, None]:
    """Yield a topic's records of a range, oldest first over all partitions, that match.

    Raises:
        Unreachable: no broker answers, or it refuses the credentials.
        TopicMissing: there is no such topic.
        ReadingStalled: the broker stopped giving records before the end.
        CommandError: a value is framed by a schema registry, and can't be read.
    """

    def readable(record: StoredRecord) -> bool:
        if broker.values is None:
            refuse_framed(topic, record)
        return matches(record)

    since = zoned(chosen.since)
    async with kafka_topic_log(topic, broker) as log:
        spans = await log.spans(since=since)
        if chosen.last is not None:
            newest = await _newest(log.in_order, spans, chosen.last, readable)
            for record in newest:
                yield record
            spans = {number: Span(span.end, span.end) for number, span in spans.items()}
        async with aclosing(log.in_order(spans, follow=chosen.follow)) as kept:
            async for record in kept:
                if readable(record):
                    yield record


async def _newest(
    in_order: Callable[[dict[int, Span]], AsyncIterator[StoredRecord]],
    spans: dict[int, Span],
    count: int,
    matches: Callable[[StoredRecord], bool],
) -> list[StoredRecord]:
    """Look back in growing steps: offsets have gaps, and not every record matches."""
    step = max(_LAST_ROUND, 2 * count)
    while True:
        looked = {n: Span(max(one.start, one.end - step), one.end) for n, one in spans.items()}
        found: deque[StoredRecord] = deque(maxlen=count)
        async for record in in_order(looked):
            if matches(record):
                found.append(record)
        if len(found) == count or looked == spans:
            return list(found)
        step *= 2


def refuse_framed(topic: str, record: StoredRecord) -> None:
    """End where a value is framed and no registry is configured: nothing of the topic can be read.

    Raises:
        CommandError: says what to configure.
    """
    if record.value is None or record.value[:1] in _JSON_BEGINS:
        return
    framed = read_framing(record.value, record.headers)
    if framed is not None:
        raise CommandError(
            f"{topic}, partition {record.partition}, offset {record.offset}: the value is framed by"
            f" a schema registry (schema {framed.ref}): name the registry in registry.urls"
            " (docs/schema-registry.md)"
        )


def zoned(moment: datetime | None) -> datetime | None:
    """Take a time that somebody typed for one of this machine's zone, unless it names another.

    Raises:
        CommandError: it is at an end of the calendar, status 2.
    """
    try:
        return None if moment is None else moment.astimezone()
    except (ValueError, OverflowError):
        raise CommandError(
            f"{moment:%Y-%m-%d} is at an end of the calendar: name a later or an earlier time",
            status=WRONG_USAGE,
        ) from None
