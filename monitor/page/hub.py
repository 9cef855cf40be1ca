"""Shares what changes among all viewers: each change is encoded once.

A viewer has a short queue. One that reads too slowly is cut off; its browser comes back by itself
with the id of the last change it saw, and gets what it missed, or is told to load everything.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from monitor.page import log_events
from monitor.page.data import (
    Change,
    Columns,
    MinuteClosed,
    NotFoundError,
    PageData,
    PostsDeleted,
)
from monitor.page.sparks import Sparks
from monitor.page.wire import MinuteChange, Payload, QuarterChange, State

BEAT_S = 5.0
"""Seconds between heartbeats: a page that hears nothing for three of them says so."""
GATHER_S = 0.25
"""Seconds; changes of one moment (20 tracks' minutes) go out as one frame."""
_KEPT_FRAMES = 500  # some minutes: a laptop's lid, a lift
_KEPT_BYTES = 8 << 20
_QUEUE = 64  # frames: over half a minute of the busiest stream
_DELETED = 10_000  # tombstones remembered: covers look-ups that began before one came
_DAY_S = 86_400

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Viewer:
    """One live stream: frames in order, until it is too slow or the page closes."""

    def __init__(self, abort: Callable[[], None]) -> None:
        self._abort = abort
        self._frames: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self.open = True

    def put(self, frame: bytes) -> bool:
        """Queue a frame; False when the queue was full and the viewer is cut off."""
        if len(self._frames) >= _QUEUE:
            self.close()
            self._abort()
            return False
        self._frames.append(frame)
        self._wake.set()
        return True

    def close(self) -> None:
        """Let the stream end."""
        self.open = False
        self._wake.set()

    async def next(self) -> bytes:
        """All frames that wait, as one; empty at the end."""
        while self.open and not self._frames:
            self._wake.clear()
            await self._wake.wait()
        if not self.open:
            return b""
        found = b"".join(self._frames)
        self._frames.clear()
        return found


class Hub:
    """The data's changes, for many."""

    def __init__(
        self,
        data: PageData,
        *,
        wall: Callable[[], float],
        actions: bool,
        problems: tuple[str, ...] = (),
        gather_s: float = GATHER_S,
    ) -> None:
        self._data = data
        self._wall = wall
        self._actions = actions
        self._problems = problems
        self._gather_s = gather_s
        self._run_id = secrets.token_hex(4)  # ids of another process mean nothing here
        self._number = 0
        self._kept: deque[tuple[int, bytes]] = deque()
        self._kept_bytes = 0
        self._pending: list[Change] = []
        self._timer: asyncio.TimerHandle | None = None
        self._viewers: set[Viewer] = set()
        self._sparks = Sparks(data)
        self._state: Payload | None = None
        self._histories: dict[str, Payload] = {}
        self._deleted: dict[str, None] = {}

    @property
    def viewers(self) -> int:
        """How many live streams are open."""
        return len(self._viewers)

    @property
    def last_id(self) -> str:
        """Of the newest change sent."""
        return f"{self._run_id}-{self._number}"

    async def run(self) -> None:
        """Pass changes on until cancelled. An error of the data ends it, and is raised."""
        self.state()  # before the first viewer asks
        beats = asyncio.create_task(self._beat())
        taking = asyncio.create_task(self._take_all())
        try:
            ended, _ = await asyncio.wait((beats, taking), return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        except Exception as error:
            _log.exception(log_events.PAGE_CHANGES_ENDED, error=type(error).__name__)
            raise
        finally:
            beats.cancel()
            taking.cancel()
            await asyncio.gather(beats, taking, return_exceptions=True)
            self.close()

    async def _take_all(self) -> None:
        async with aclosing(self._data.changes()) as changes:
            async for change in changes:
                self.take(change)

    def close(self) -> None:
        """End all streams."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for viewer in list(self._viewers):
            viewer.close()

    def join(self, viewer: Viewer, last_id: str | None) -> None:
        """Send the viewer all that comes after `last_id`; where that isn't kept, a reset."""
        missed = self._since(last_id)
        if missed is None:
            viewer.put(_frame("reset", {}))
        else:
            viewer.put(b"".join(missed) + _frame("beat", self._clock()))
        self._viewers.add(viewer)

    def leave(self, viewer: Viewer) -> None:
        """Send it nothing more."""
        self._viewers.discard(viewer)

    def state(self) -> Payload:
        """All that the page shows first."""
        if self._state is None:
            tracks = tuple(self._data.tracks())
            names = {one.track for one in tracks}
            self._sparks.keep(names)
            self._histories = {name: self._histories[name] for name in names & set(self._histories)}
            pipe = self._data.pipe()
            end = (pipe.watermark or pipe.at).timestamp()
            self._state = Payload(
                State(
                    id=self.last_id,
                    now=self._now(),
                    tracks=tracks,
                    sparks={one.track: self._sparks.of(one.track, end) for one in tracks},
                    alerts=tuple(self._data.alerts()),
                    mutes=tuple(self._data.mutes()),
                    pipe=pipe,
                    actions=self._actions,
                    problems=self._problems,
                )
            )
        return self._state

    def history(self, track: str) -> Payload:
        """24 hours of a track.

        Raises:
            NotFoundError: no such track.
        """
        found = self._histories.get(track)
        if found is None:
            found = self._histories[track] = Payload(self.day(track))
        return found

    def day(self, track: str) -> Columns:
        """The same, not encoded."""
        pipe = self._data.pipe()
        end = (pipe.watermark or pipe.at).timestamp()
        return self._data.windows(
            track,
            datetime.fromtimestamp(end - _DAY_S, UTC),
            datetime.fromtimestamp(end + 60, UTC),
        )

    def deleted(self, event_id: str) -> bool:
        """Whether a tombstone came for this event lately."""
        return event_id in self._deleted

    def take(self, change: Change) -> None:
        """Pass a change on, with others of its moment."""
        self._state = None
        if isinstance(change, MinuteClosed):
            window = change.minute.window
            self._sparks.touch(window.track, window.start)
            self._histories.pop(window.track, None)
        elif isinstance(change, PostsDeleted):
            self._deleted.update(dict.fromkeys(change.events))
            while len(self._deleted) > _DELETED:
                del self._deleted[next(iter(self._deleted))]
        self._pending.append(change)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._gather_s, self._flush)

    def _flush(self) -> None:
        self._timer = None
        pending, self._pending = self._pending, []
        self._state = None  # its id is about to be old
        self._number += 1
        changes = [sent for one in pending for sent in self._sent(one)]
        changes += self._quarters(pending)
        frame = _frame("changes", changes, self.last_id)
        self._kept.append((self._number, frame))
        self._kept_bytes += len(frame)
        while len(self._kept) > _KEPT_FRAMES or self._kept_bytes > _KEPT_BYTES:
            self._kept_bytes -= len(self._kept.popleft()[1])
        self._send(frame)

    def _sent(self, change: Change) -> Iterable[Any]:
        if not isinstance(change, MinuteClosed):
            return (change,)
        window = change.minute.window
        try:
            columns = self._data.windows(window.track, window.start, window.end)
        except NotFoundError:
            return ()
        return (MinuteChange(columns=columns),)

    def _quarters(self, pending: Iterable[Change]) -> list[QuarterChange]:
        """What these minutes have made of the small curves; each quarter once."""
        windows = [one.minute.window for one in pending if isinstance(one, MinuteClosed)]
        changed = (self._sparks.quarter(window.track, window.start) for window in windows)
        return list({(one.track, one.start): one for one in changed}.values())

    def _send(self, frame: bytes) -> None:
        for viewer in [one for one in self._viewers if not one.put(frame)]:
            self._viewers.discard(viewer)
            _log.info(log_events.PAGE_VIEWER_DROPPED, viewers=len(self._viewers))

    def _since(self, last_id: str | None) -> list[bytes] | None:
        run, _, number = (last_id or "").partition("-")
        if run != self._run_id or not number.isdecimal() or len(number) > 18:
            return None
        seen = int(number)
        oldest = self._kept[0][0] if self._kept else self._number + 1
        if not oldest - 1 <= seen <= self._number:
            return None
        return [frame for kept, frame in self._kept if kept > seen]

    def send_beat(self) -> None:
        """Tell every viewer the time, and that the line is alive."""
        self._send(_frame("beat", self._clock()))

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            self.send_beat()

    def _clock(self) -> dict[str, Any]:
        pipe = self._data.pipe()
        return {"now": self._now(), "watermark": pipe.watermark}

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._wall(), UTC)


def _frame(kind: str, content: Any, identity: str | None = None) -> bytes:
    """A server-sent event. JSON holds no line break, so it is one `data` line."""
    data = msgspec.json.encode(content)
    label = f"id: {identity}\n" if identity else ""
    return f"{label}event: {kind}\ndata: ".encode() + data + b"\n\n"
