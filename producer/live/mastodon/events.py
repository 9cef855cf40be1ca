"""Server-sent events as Mastodon writes them (its streaming/index.js; the HTML standard, 9.2)."""

from collections.abc import Iterator
from typing import NamedTuple

MOST_EVENT_BYTES = 1024 * 1024
"""A status has some kilobytes."""


class Event(NamedTuple):
    """One event."""

    name: str
    data: str


class EventTooLarge(Exception):  # noqa: N818 - what it is, not that it is an error
    """An event without an end in sight."""


class EventReader:
    """Cuts chunks of a stream into events. Comments, which keep it alive, are dropped."""

    def __init__(self) -> None:
        self._rest = b""
        self._name = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Yield the events that end in this chunk.

        Raises:
            EventTooLarge: an event has more than 1 MiB.
        """
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            event = self._line(line.removesuffix(b"\r"))
            if event is not None:
                yield event
        if len(self._rest) + self._size > MOST_EVENT_BYTES:
            raise EventTooLarge

    def _line(self, line: bytes) -> Event | None:
        if not line:
            event = Event(self._name, "\n".join(self._data)) if self._data else None
            self._name, self._data, self._size = "", [], 0
            return event
        field, _, value = line.decode(errors="replace").partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
            self._size += len(line)
            if self._size > MOST_EVENT_BYTES:
                raise EventTooLarge
        return None
