"""What `emostream events` and `emostream alerts` share: a topic as lines, once or for good."""

import sys
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from rich.text import Text

from emostream.console import Console
from emostream.exits import CommandError
from emostream.plain import local
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
        self._console = Console(file=sys.stdout, highlight=False)

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

    Where no registry is configured, values that one frames are left out, and it is said once on
    stderr.

    Raises:
        Unreachable: no broker answers, or it refuses the credentials.
        TopicMissing: there is no such topic.
        ReadingStalled: the broker stopped giving records before the end.
        CommandError: all values are framed by a schema registry, and none can be read.
    """
    framed = _LeftOut(topic)

    def readable(record: StoredRecord) -> bool:
        return not (broker.values is None and framed.leaves_out(record)) and matches(record)

    since = local(chosen.since) if chosen.since else None
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
    framed.end()


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


class _LeftOut:
    """Values that a schema registry frames, or that look like it, where none is configured.

    One of them alone may be a broken record among events: it hides no other.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._first = ""
        self._others = False

    def leaves_out(self, record: StoredRecord) -> bool:
        """Whether a record is left out; tells of the first one."""
        if record.value is None:
            return False
        framed = None
        if record.value[:1] not in _JSON_BEGINS:
            framed = read_framing(record.value, record.headers)
        if framed is None:
            self._others = True
            return False
        if not self._first:
            self._first = (
                f"{self._topic}, partition {record.partition}, offset {record.offset}: the value is"
                f" framed by a schema registry (schema {framed.ref}): name the registry in"
                " registry.urls (docs/schema-registry.md)"
            )
            sys.stderr.write(f"emostream: left out: {self._first}\n")
        return True

    def end(self) -> None:
        """End in an error where nothing of the topic could be read.

        Raises:
            CommandError: says what to configure.
        """
        if self._first and not self._others:
            raise CommandError(f"nothing of {self._topic} can be read without its schema registry")
