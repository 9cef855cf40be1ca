"""What the page's server answers."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from monitor.page import log_events
from monitor.page.data import (
    Action,
    MuteTrack,
    NotFoundError,
    PageData,
    Say,
    UnavailableError,
    UnmuteTrack,
)
from monitor.page.files import accepts_gzip
from monitor.page.guard import COOKIE, VISITOR, Guard, Visitor
from monitor.page.hub import Hub, Viewer
from monitor.page.lookups import LIMIT, MAX_SPAN_S, BusyError, Lookups
from monitor.page.settings import PageSettings
from monitor.page.table import CHARTS, as_csv, file_name
from monitor.page.wire import Ask, MuteAsk, Payload, SayAsk, UnmuteAsk
from schemas.reading import json_reader

MAX_BODY = 16 << 10
"""Bytes of a request's body; a note has 2,000 characters at most."""
_FAR = 1 << 36  # seconds: later than any moment that a date can hold is refused
_RETRY_MS = 2_000  # a browser's pause before it connects again

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class _Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: str


class Handlers:
    """One method for each address."""

    def __init__(self, settings: PageSettings, data: PageData, hub: Hub, guard: Guard) -> None:
        self._settings = settings
        self._data = data
        self._hub = hub
        self._guard = guard
        self._lookups = Lookups(hub)

    def routes(self) -> list[web.RouteDef]:
        """The addresses of the interface between page and server."""
        return [
            web.get("/api/me", self.me),
            web.post("/api/login", self.log_in),
            web.get("/api/state", self.state),
            web.get("/api/history", self.history),
            web.get("/api/live", self.live, allow_head=False),  # it would stream, too
            web.get("/api/posts", self.posts),
            web.get("/api/examples", self.examples),
            web.get("/api/chart.csv", self.chart),
            web.post("/api/actions", self.act),
        ]

    async def me(self, request: web.Request) -> web.Response:
        """Who the server takes the visitor for."""
        return _json({"user": request[VISITOR].user, "actions": self._settings.actions})

    async def log_in(self, request: web.Request) -> web.Response:
        """The token, exchanged for a cookie."""
        if not self._guard.takes_token:
            return _error(404, "no token is in use here")
        return self._guard.log_in(request, (await _read(request, _Login)).token)

    async def state(self, request: web.Request) -> web.Response:
        """All that is shown first."""
        return _payload(request, self._hub.state())

    async def history(self, request: web.Request) -> web.Response:
        """24 hours of a track."""
        return _payload(request, self._hub.history(_track(request)))

    async def live(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: what changes after `since` or Last-Event-ID, until the end."""
        if self._hub.viewers >= self._settings.max_viewers:
            return _error(503, "too many people watch; try again later", retry_after=30)
        transport = request.transport
        viewer = Viewer(abort=lambda: transport.abort() if transport else None)
        answer = web.StreamResponse(
            headers={hdrs.CONTENT_TYPE: "text/event-stream", "X-Accel-Buffering": "no"}
        )
        self._hub.join(viewer, request.headers.get("Last-Event-ID") or request.query.get("since"))
        try:
            await answer.prepare(request)
            await answer.write(b"retry: %d\n\n" % _RETRY_MS)
            while frames := await viewer.next():
                await answer.write(frames)
        except ConnectionError:
            pass  # the browser left
        finally:
            self._hub.leave(viewer)
        return answer

    async def posts(self, request: web.Request) -> web.Response:
        """The posts behind a moment."""
        start, end = _span(request)
        if end - start > MAX_SPAN_S:
            raise ValueError("posts are looked up for an hour at most")
        asked = self._data.posts(
            _track(request),
            datetime.fromtimestamp(start, UTC),
            datetime.fromtimestamp(end, UTC),
            limit=LIMIT,
            negative=request.query.get("negative") == "1",
        )
        return _json(await self._lookups.run(_viewer(request), asked))

    async def examples(self, request: web.Request) -> web.Response:
        """The example posts of an alert."""
        asked = self._data.examples(_short(request, "alert"))
        return _json(await self._lookups.run(_viewer(request), asked))

    async def chart(self, request: web.Request) -> web.Response:
        """A chart's figures as CSV."""
        track, chart = _track(request), request.query.get("chart", "")
        if chart not in CHARTS:
            raise ValueError(f"chart must be one of {', '.join(CHARTS)}")
        start, end = _span(request)
        return web.Response(
            text=as_csv(self._hub.day(track), chart, start, end),
            content_type="text/csv",
            charset="utf-8",
            headers={"Content-Disposition": f'attachment; filename="{file_name(track, chart)}"'},
        )

    async def act(self, request: web.Request) -> web.Response:
        """An action: written to its topic before this answers."""
        if not self._settings.actions:
            return _error(403, "this page is read-only (monitor.page.actions = false)")
        ask = await _read(request, Ask)
        visitor = request[VISITOR]
        action = _action(ask, _who(visitor, ask.name))
        target = ask.alert_id if isinstance(ask, SayAsk) else "track"
        kind = ask.action if isinstance(ask, SayAsk) else type(ask).__name__[:-3].lower()
        try:
            # A browser that leaves meanwhile doesn't stop it half way.
            await asyncio.shield(asyncio.ensure_future(self._data.act(action)))
        except UnavailableError as error:
            _log.warning(log_events.PAGE_ACTION_FAILED, kind=kind, error=type(error).__name__)
            raise
        _log.info(
            log_events.PAGE_ACTION, kind=kind, target=target, verified=visitor.user is not None
        )
        return _json({})


@web.middleware
async def explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Each error as a sentence in JSON."""
    try:
        return await handler(request)
    except NotFoundError as error:
        return _error(404, str(error))
    except BusyError as error:
        return _error(429, str(error), retry_after=1)
    except UnavailableError as error:
        return _error(503, str(error), retry_after=5)
    except ValueError as error:
        return _error(400, str(error))
    except web.HTTPException as error:
        return _error(error.status, error.reason)


def _action(ask: Ask, by: str) -> Action:
    match ask:
        case SayAsk():
            if ask.action == "note" and not ask.note.strip():
                raise ValueError("a note needs a text")
            return Say(
                alert_id=ask.alert_id, action=ask.action, by=by, note=ask.note.strip() or None
            )
        case MuteAsk():
            if (ask.until is None) == (ask.weekly is None):
                raise ValueError("a mute lasts until a time or comes weekly: name one of them")
            if ask.weekly is not None and ask.zone is None:
                raise ValueError("a weekly mute needs a time zone, e.g. Europe/Vienna")
            return MuteTrack(
                track=ask.track,
                by=by,
                until=ask.until,
                weekly=ask.weekly,
                zone=ask.zone,
                note=ask.note.strip() or None,
            )
        case UnmuteAsk():
            return UnmuteTrack(track=ask.track, by=by)


def _who(visitor: Visitor, name: str) -> str:
    """Who did it: what the proxy says, else the name that was typed, and that nobody vouches."""
    if visitor.user is not None:
        return visitor.user
    typed = "".join(c for c in name if c.isprintable()).strip()
    return f"{typed or 'someone'} (unverified)"


def _viewer(request: web.Request) -> str:
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return f"{request[VISITOR].user}|{request.cookies.get(COOKIE)}|{peer[0] if peer else ''}"


def _short(request: web.Request, name: str) -> str:
    found = request.query.get(name, "")
    if not 0 < len(found) <= 200:
        raise ValueError(f"{name} is missing or too long")
    return found


def _track(request: web.Request) -> str:
    return _short(request, "track")


def _span(request: web.Request) -> tuple[int, int]:
    """`start` and `end` of a query, Unix seconds."""
    try:
        start, end = (int(request.query[name]) for name in ("start", "end"))
    except (KeyError, ValueError):
        raise ValueError("start and end must be Unix seconds") from None
    if not 0 <= start < end < _FAR:
        raise ValueError("start must be before end")
    return start, end


async def _read(request: web.Request, kind: Any) -> Any:
    try:
        return json_reader(kind)(await request.read())
    except msgspec.MsgspecError as error:
        raise ValueError(f"the request can't be read: {error}") from None


def _json(content: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(content), content_type="application/json")


def _payload(request: web.Request, payload: Payload) -> web.Response:
    answer = web.Response(body=payload.raw, content_type="application/json")
    answer.headers[hdrs.VARY] = "Accept-Encoding"
    if accepts_gzip(request):
        answer.body = payload.gzipped
        answer.headers[hdrs.CONTENT_ENCODING] = "gzip"
    return answer


def _error(status: int, message: str, *, retry_after: int | None = None) -> web.Response:
    answer = web.Response(
        status=status,
        body=msgspec.json.encode({"error": message}),
        content_type="application/json",
    )
    if retry_after is not None:
        answer.headers[hdrs.RETRY_AFTER] = str(retry_after)
    return answer
