"""A model server that answers as TGI does, until it is told to misbehave."""

import asyncio
import contextlib
import random
from collections import Counter

from aiohttp import web

from tests.e2e.model_server import answer

MODEL, REVISION = "emostream-small", "faults"
_LATENCY_S = (0.01, 0.05)
"""So that there is always something in flight when a fault comes."""
_AT_ONCE = 6
"""Each consumer's bound, by `/info`: with it two to four of them have twice to four times the
capacity that the posts need, and work to catch up after each outage."""
_STATUS = {
    "429": (429, "overloaded"),
    "424": (424, "generation"),
    "500": (500, "incomplete_generation"),
    "503": (503, "healthcheck"),
}
MODES = (*_STATUS, "401", "drip", "garbage", "truncated", "wrong_type", "frozen", "mute", "closed")
"""How it can misbehave while it listens."""


class ModelServer:
    """TGI's `/generate`, `/info` and `/health` on a port that it keeps over restarts."""

    def __init__(self, port: int, seed: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._random = random.Random(seed)
        self._runner: web.AppRunner | None = None
        self._mode = ""
        self._share = 1.0
        self._healed = asyncio.Event()
        self.asked = 0
        self.failed: Counter[str] = Counter()

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/generate", self._generate)
        app.router.add_get("/info", self._info)
        app.router.add_get("/health", self._health)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        """Refuse connections, and close those that are open."""
        runner, self._runner = self._runner, None
        self._healed.set()
        if runner is not None:
            await runner.cleanup()

    def misbehave(self, mode: str, share: float) -> None:
        """From now on, and what is in flight included: `share` of the answers."""
        assert mode in MODES
        self._mode, self._share = mode, share
        self._healed = asyncio.Event()

    def behave(self) -> None:
        self._mode = ""
        self._healed.set()

    async def _health(self, request: web.Request) -> web.Response:
        if self._mode == "frozen":
            await self._healed.wait()
        return web.Response(status=503 if self._mode == "503" else 200)

    async def _info(self, request: web.Request) -> web.Response:
        if self._mode == "frozen":
            await self._healed.wait()
        return web.json_response(
            {
                "model_id": MODEL,
                "model_sha": REVISION,
                "max_concurrent_requests": _AT_ONCE,
                "max_input_tokens": 1024,
                "max_total_tokens": 1088,
                "version": "3.3.6",
                "router": "text-generation-router",
            }
        )

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        prompt = (await request.json())["inputs"]
        self.asked += 1
        await asyncio.sleep(self._random.uniform(*_LATENCY_S))
        if self._mode and self._random.random() < self._share:
            self.failed[self._mode] += 1
            return await self._fail(request, self._mode, prompt)
        return web.json_response({"generated_text": answer(prompt)})

    async def _fail(self, request: web.Request, mode: str, prompt: str) -> web.StreamResponse:
        if mode in _STATUS:
            status, kind = _STATUS[mode]
            return web.json_response({"error": "injected", "error_type": kind}, status=status)
        if mode == "401":
            return web.Response(status=401)
        whole = web.json_response({"generated_text": answer(prompt)}).body
        assert isinstance(whole, bytes)
        if mode == "garbage":
            return web.Response(body=b"\x00\xff{]" * 40, content_type="application/json")
        if mode == "truncated":
            return web.Response(body=whole[: len(whole) // 2], content_type="application/json")
        if mode == "wrong_type":
            return web.Response(body=b"<html>Welcome to the hotel</html>", content_type="text/html")
        if mode == "closed":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if mode == "drip":
            return await self._drip(request, whole)
        await self._healed.wait()  # frozen, mute
        return web.json_response({"generated_text": answer(prompt)})

    async def _drip(self, request: web.Request, whole: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = len(whole)
        with contextlib.suppress(ConnectionResetError):
            await response.prepare(request)
            for byte in whole:
                await response.write(bytes((byte,)))
                await asyncio.sleep(0.5)
        return response
