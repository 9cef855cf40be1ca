"""An HTTP server of the tests: a few routes on 127.0.0.1."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(*routes: tuple[str, str, Handler], port: int = 0) -> AsyncIterator[str]:
    """Serve (method, path, handler); give the base URL. Port 0 takes a free one."""
    app = web.Application()
    for method, path, handler in routes:
        app.router.add_route(method, path, handler)
    # Connections that stay open, as a client's pool keeps them, needn't be waited for.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
