"""Serves the page on the monitor's own event loop."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

import structlog
from aiohttp import web

from monitor.page import log_events, vendor
from monitor.page.data import PageData
from monitor.page.files import static_files
from monitor.page.guard import Guard, add_headers
from monitor.page.handlers import MAX_BODY, Handlers, explain
from monitor.page.hub import GATHER_S, Hub
from monitor.page.settings import PageError, PageSettings
from runtime.http_listener import HttpListener

_STOP_S = 1.0  # streams end at once; a look-up isn't waited for

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class PageServer:
    """The page, from `start` to `stop`, or within `async with`.

    async with PageServer(PageSettings(), data) as page:
        print(page.url)
        await page.watch()
    """

    def __init__(
        self,
        settings: PageSettings,
        data: PageData,
        *,
        wall: Callable[[], float] = time.time,
        gather_s: float = GATHER_S,
    ) -> None:
        """`wall` gives Unix seconds; changes are gathered for `gather_s` before they go out.

        Raises:
            PageError: these settings aren't safe.
        """
        settings.check()
        self._settings = settings
        self._data = data
        problems: tuple[str, ...] = ()
        if not vendor.UPLOT.present():
            problems = (vendor.HOW_TO_GET_IT,)
            _log.warning(log_events.PAGE_CHARTS_MISSING, reason=vendor.HOW_TO_GET_IT)
        self._hub = Hub(
            data, wall=wall, actions=settings.actions, problems=problems, gather_s=gather_s
        )
        self._guard = Guard(settings, wall)
        self._listener: HttpListener | None = None
        self._changes: asyncio.Task[None] | None = None
        self.url = ""
        """Where it listens, once started."""

    async def start(self) -> None:
        """Listen, and follow the data's changes.

        Raises:
            PageError: the address can't be listened on.
        """
        app = web.Application(
            middlewares=[self._guard.middleware(), explain], client_max_size=MAX_BODY
        )
        app.on_response_prepare.append(add_headers)
        for path, file in static_files().items():
            app.router.add_get(path, file.answer)
        app.router.add_routes(Handlers(self._settings, self._data, self._hub, self._guard).routes())
        settings = self._settings
        listener = HttpListener(
            app,
            max_connections=settings.max_connections,
            handler_cancellation=True,  # a look-up ends when its browser turns away
            shutdown_timeout=_STOP_S,
        )
        try:
            await listener.start(settings.host, settings.port)
        except OSError as error:
            raise PageError(
                f"can't listen on monitor.page.host {settings.host}, monitor.page.port"
                f" {settings.port}: {error.strerror or error}; name another, or set"
                " monitor.page.enabled = false"
            ) from None
        self._listener = listener
        self.url = listener.url
        self._changes = asyncio.create_task(self._hub.run())
        _log.info(log_events.PAGE_LISTENS, url=self.url)

    @property
    def viewers(self) -> int:
        """Live streams that are open."""
        return self._hub.viewers

    async def watch(self) -> None:
        """Return when the data's changes end; the page stays up.

        Raises:
            Exception: what ended them.
        """
        if self._changes is not None:
            await asyncio.shield(self._changes)

    async def stop(self) -> None:
        """End all streams and stop listening."""
        if self._listener is not None:
            self._listener.close()
        if self._changes is not None:
            self._changes.cancel()
            with suppress(asyncio.CancelledError, Exception):  # `watch` is who raises it
                await self._changes
            self._changes = None
        self._hub.close()
        if self._listener is not None:
            await self._listener.stop()
            self._listener = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()
