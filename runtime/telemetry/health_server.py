"""`/livez`, `/readyz` and `/metrics`, for the platform and for Prometheus."""

from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from aiohttp import web

from runtime.errors import Misconfigured
from runtime.http_listener import HttpListener
from runtime.settings.telemetry import Http

_MAX_CONNECTIONS = 100
"""Probes and scrapes need a handful."""


class HealthChecks(Protocol):
    """What a program says of itself."""

    def not_alive(self) -> list[str]:
        """Why the platform should restart the process; empty while it makes progress."""

    def not_ready(self) -> list[str]:
        """Why no work goes through; empty while it does."""


class MetricsSource(Protocol):
    """What a program counts."""

    def expose(self, accept: str) -> tuple[bytes, str]:
        """The metrics in the exposition format that `accept` asks for, and its content type."""


class HealthServer:
    """Serves them over HTTP, on the service's own event loop: if that hangs, so do they."""

    def __init__(
        self,
        options: Http,
        health: HealthChecks,
        metrics: MetricsSource,
        *,
        warnings: Callable[[], list[str]] = list,
    ) -> None:
        """`warnings` says what needs a human although the program is ready."""
        self._warnings = warnings
        self._options = options
        self._health = health
        self._metrics_source = metrics
        self._listener: HttpListener | None = None
        self.url: str | None = None
        """Where it listens, once started."""

    async def start(self) -> None:
        """Listen.

        Raises:
            Misconfigured: the address can't be listened on.
        """
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        options = self._options
        listener = HttpListener(app, max_connections=_MAX_CONNECTIONS)
        try:
            await listener.start(options.host, options.port)
        except OSError as error:
            raise Misconfigured(
                f"can't listen on http.host {options.host}, http.port {options.port}:"
                f" {error.strerror or error}; name another; port 0 takes a free one"
            ) from None
        self._listener = listener
        self.url = listener.url

    async def stop(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            await self._listener.stop()
            self._listener = None

    async def _livez(self, _: web.Request) -> web.Response:
        problems = self._health.not_alive()
        return _json({"alive": not problems, "why": problems}, problems)

    async def _readyz(self, _: web.Request) -> web.Response:
        problems = self._health.not_ready()
        warnings = self._warnings()
        return _json({"ready": not problems, "why": problems, "warnings": warnings}, problems)

    async def _metrics(self, request: web.Request) -> web.Response:
        body, content_type = self._metrics_source.expose(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})


def _json(body: dict[str, Any], problems: list[str]) -> web.Response:
    return web.Response(
        status=503 if problems else 200,
        body=msgspec.json.encode(body),
        content_type="application/json",
    )
