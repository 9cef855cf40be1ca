"""A model server that answers as TGI does, until it is told to misbehave."""

import asyncio
import contextlib
import random
from collections import Counter

import msgspec
from aiohttp import web

from emollm.protocol import ServerInfo
from tests.tgi import varied as answer

MODEL, REVISION = "emostream-small", "faults"
_LATENCY_S = (0.01, 0.05)
"""So that there is always something in flight when a fault comes."""
_AT_ONCE = 6
"""Each consumer's bound, by `/info`: with it two to four of them have twice to four times the
capacity that the posts need, and work to catch up after each outage."""
INFO = ServerInfo(
    dialect="tgi",
    model_id=MODEL,
    model_revision=REVISION,
    max_concurrent_requests=_AT_ONCE,
    max_input_tokens=1024,
    max_total_tokens=1088,
    version="3.3.6",
)
"""What it says of itself."""
_STATUS = {
    "429": (429, "overloaded"),
    "424": (424, "generation"),
    "500": (500, "incomplete_generation"),
    "503": (503, "healthcheck"),
}
MODES = (
    *_STATUS,
    "424_batch",
    "401",
    "drip",
    "garbage",
    "unreadable",
    "truncated",
    "wrong_type",
    "frozen",
    "mute",
    "closed",
    "closed_idle",
)
"""How it can misbehave while it listens."""
POISON = ("429", "424", "hang")
"""What always becomes of a prompt, on any server, while others are answered."""
_HANG_S = 60.0
"""Longer than anybody waits."""
NONSENSE = (
    "",
    "banana banana banana",
    "I'm sorry, but I can't help with that.",
    "7.9: a moderate amount",
    "Once upon a time there was a post. " * 40,
)
"""What a broken model says: good JSON around a text that answers no question of ours."""
_BATCH_S = 0.03
"""What comes within this long is one batch of a server that fails whole batches."""


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
        self.misanswered: set[str] = set()
        """Prompts that were answered unreadably, at least once."""
        self.poisoned: Counter[str] = Counter()
        """Requests with a prompt that is never answered."""
        self._batch: list[asyncio.Future[bool]] = []

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
                "model_id": INFO.model_id,
                "model_sha": INFO.model_revision,
                "max_concurrent_requests": INFO.max_concurrent_requests,
                "max_input_tokens": INFO.max_input_tokens,
                "max_total_tokens": INFO.max_total_tokens,
                "version": INFO.version,
                "router": "text-generation-router",
            }
        )

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        prompt = (await request.json())["inputs"]
        self.asked += 1
        await asyncio.sleep(self._random.uniform(*_LATENCY_S))
        if (way := next((way for way in POISON if poisonous(way) in prompt), None)) is not None:
            self.poisoned[way] += 1
            if way == "hang":
                await asyncio.sleep(_HANG_S)
            return await self._fail(request, "429" if way == "hang" else way, prompt)
        if self._mode == "424_batch" and not await self._fails_with_its_batch():
            return web.Response(body=answer_body(prompt), content_type="application/json")
        if self._mode and self._random.random() < self._share:
            self.failed[self._mode] += 1
            return await self._fail(request, self._mode, prompt)
        return web.Response(body=answer_body(prompt), content_type="application/json")

    async def _fail(self, request: web.Request, mode: str, prompt: str) -> web.StreamResponse:
        whole = answer_body(prompt)
        match mode:
            case "429" | "424" | "500" | "503" | "424_batch":
                status, kind = _STATUS[mode.removesuffix("_batch")]
                error = {"error": "injected", "error_type": kind}
                response = web.json_response(error, status=status)
            case "401":
                response = web.Response(status=401)
            case "garbage":
                response = web.Response(body=b"\x00\xff{]" * 40, content_type="application/json")
            case "unreadable":
                self.misanswered.add(prompt)
                text = NONSENSE[len(prompt) % len(NONSENSE)]
                response = web.json_response({"generated_text": text})
            case "truncated":
                half = whole[: len(whole) // 2]
                response = web.Response(body=half, content_type="application/json")
            case "wrong_type":
                page = b"<html>Welcome to the hotel</html>"
                response = web.Response(body=page, content_type="text/html")
            case "closed":
                assert request.transport is not None
                request.transport.abort()
                response = web.Response()
            case "closed_idle":
                # Answered, and closed before the pooled connection's next request, or under it.
                assert request.transport is not None
                soon = self._random.uniform(0, 0.02)
                asyncio.get_running_loop().call_later(soon, request.transport.close)
                response = web.Response(body=whole, content_type="application/json")
            case "drip":
                return await self._drip(request, whole)
            case _:  # frozen, mute
                await self._healed.wait()
                response = web.Response(body=whole, content_type="application/json")
        return response

    async def _fails_with_its_batch(self) -> bool:
        """Wait for company; every second batch of two or more fails, innocent prompts too.

        One that is alone never does: as where a batch is too large for the GPU's memory.
        """
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._batch.append(future)
        if len(self._batch) == 1:
            await asyncio.sleep(_BATCH_S)
            batch, self._batch = self._batch, []
            fails = len(batch) > 1 and self._random.random() < 0.5
            for one in batch:
                if not one.done():
                    one.set_result(fails)
        return await future

    async def _drip(self, request: web.Request, whole: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = len(whole)
        with contextlib.suppress(ConnectionResetError):
            await response.prepare(request)
            for byte in whole:
                await response.write(bytes((byte,)))
                await asyncio.sleep(0.5)
        return response


def poisonous(way: str) -> str:
    """Words of a post that is always answered so."""
    return f"this prompt is poison {way}"


def answer_body(prompt: str) -> bytes:
    """A whole answer, the same for the same prompt."""
    return msgspec.json.encode({"generated_text": answer(prompt)})
