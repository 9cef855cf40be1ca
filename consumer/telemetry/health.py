"""`/livez`, `/readyz` and `/metrics`, for the platform and for Prometheus."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from aiohttp import web

from consumer.errors import Misconfigured
from consumer.settings import Http
from consumer.telemetry.meter import Meter
from consumer.telemetry.state import Snapshot
from emollm.servers import BreakerState, ServerState


class Health:
    """Says whether the service lives and is ready, and why not."""

    def __init__(self, *, stuck_after_s: float) -> None:
        self._stuck_after_s = stuck_after_s
        self.snapshot: Callable[[], Snapshot] | None = None
        """How the service is doing; None until there is one, while model servers are waited for."""
        self.servers: Callable[[], Sequence[ServerState]] | None = None
        """How the model servers are doing; None until the pool is open."""

    def not_alive(self) -> list[str]:
        """Why the platform should restart the process; empty while it makes progress.

        Waiting for a model server is no reason: a restart would not bring it back.
        """
        if self.snapshot is None:
            return []
        state = self.snapshot()
        if state.phase != "running":  # start and drain have their own deadlines
            return []
        limit = self._stuck_after_s
        problems: list[str] = []
        if state.since_loop_s > limit:
            problems.append(f"no look for posts since {state.since_loop_s:.0f} s")
        work = state.in_flight_records > 0 or any(one.lag for one in state.partitions)
        if work and state.available and state.since_progress_s > limit:
            problems.append(f"posts are waiting and none was finished since {limit:.0f} s")
        return problems

    def not_ready(self) -> list[str]:
        """Why posts don't go through; empty while they do."""
        problems: list[str] = []
        if self.servers is not None:
            for server in self.servers():
                if server.out is not None:
                    problems.append(f"model server {server.url} is out: {server.out}")
                elif server.breaker is not BreakerState.CLOSED:
                    problems.append(f"model server {server.url}: breaker {server.breaker.value}")
        if self.snapshot is None:
            return [*problems, "waiting for a model server"]
        state = self.snapshot()
        if state.ready:
            return []  # one server is enough
        if state.phase != "running":
            problems.append(f"the service is {state.phase}")
        if not state.partitions:
            problems.append("no partition is assigned")
        if not state.available:
            problems.append("no model server takes prompts")
        return problems


class HealthServer:
    """Serves them over HTTP, on the service's own event loop: if that hangs, so do they."""

    def __init__(self, options: Http, health: Health, meter: Meter) -> None:
        self._options = options
        self._health = health
        self._meter = meter
        self._runner: web.AppRunner | None = None
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
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        options = self._options
        try:
            await web.TCPSite(runner, options.host, options.port).start()
        except OSError as error:
            await runner.cleanup()
            raise Misconfigured(
                f"can't listen on http.host {options.host}, http.port {options.port}:"
                f" {error.strerror or error}; name another, or set http.enabled = false"
            ) from None
        self._runner = runner
        host, port = runner.addresses[0][:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _livez(self, _: web.Request) -> web.Response:
        problems = self._health.not_alive()
        return _json({"alive": not problems, "why": problems}, problems)

    async def _readyz(self, _: web.Request) -> web.Response:
        problems = self._health.not_ready()
        return _json({"ready": not problems, "why": problems}, problems)

    async def _metrics(self, request: web.Request) -> web.Response:
        body, content_type = self._meter.expose(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})


def _json(body: dict[str, Any], problems: list[str]) -> web.Response:
    return web.Response(
        status=503 if problems else 200,
        body=msgspec.json.encode(body),
        content_type="application/json",
    )
