"""The model server of the tests: TGI's contract in a few lines, on a real socket.

For a server that breaks HTTP itself, byte by byte, see `tests.raw_http`; for one with a measured
capacity, `bench.model`.
"""

import hashlib
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Self

from aiohttp import web

from bench.model.answers import right_answer
from emollm.tasks import E_C
from tests.http_server import serving

Failure = Callable[[web.Request], Awaitable[web.StreamResponse | None]]

ERROR_TYPES = {
    424: "generation",
    429: "overloaded",
    500: "incomplete_generation",
    503: "healthcheck",
}
"""Status and `error_type` of what is worth another try."""

_LABELS = ("anger", "anticipation", "disgust", "fear", "joy", "love", "sadness", "surprise")


def varied(prompt: str) -> str:
    """Answer readably, the same for the same prompt; rightly where a canary is asked."""
    if right := right_answer(prompt):
        return right
    digest = hashlib.sha256(prompt.encode()).digest()
    if "contains emotions:" in prompt:
        found = sorted({_LABELS[byte % len(_LABELS)] for byte in digest[: digest[2] % 3]})
        return E_C.write(tuple(found))
    return f"{digest[1] / 255:.3f}"


def joyful(prompt: str) -> str:
    """Answer rightly where a canary is asked, and else that all is joy."""
    if right := right_answer(prompt):
        return right
    if "This tweet contains emotions" in prompt:
        return "joy, optimism."
    return "0.734" if "Intensity Score" in prompt else "1: slightly positive emotional state"


def error_response(status: int) -> web.Response:
    """One of TGI's errors."""
    body = {"error": "injected", "error_type": ERROR_TYPES[status]}
    return web.json_response(body, status=status)


class FakeTgi:
    """TGI's `/info`, `/health` and `/generate`: `async with FakeTgi() as tgi`, then `tgi.url`."""

    def __init__(
        self,
        answer: Callable[[str], str] = joyful,
        *,
        info: dict[str, Any] | None = None,
        failure: Failure | None = None,
        failing: float = 0.0,
        seed: int = 7,
        port: int = 0,
    ) -> None:
        """Prepare it.

        `answer` makes the text for a prompt. `info` changes fields of `/info`. `failure` sees each
        request of any route first; what it returns is the response, unless that is None. `failing`
        is the share of prompts that get one of `ERROR_TYPES` instead of an answer, drawn by `seed`.
        `port` 0 takes a free one.
        """
        self.answer = answer
        self.info = {
            "model_id": "lzw1008/Emollama-chat-7b",
            "model_sha": "5ha",
            "max_concurrent_requests": 128,
            "max_input_tokens": 1_024,
            "max_total_tokens": 1_088,
            "version": "3.3.6",
            "router": "text-generation-router",
        } | (info or {})
        self.failure = failure
        self.status = 200
        """Anything but 200 is the answer to each prompt."""
        self.prompts: list[str] = []
        """Those that were answered."""
        self.failed = 0
        """Prompts that were drawn to fail."""
        self.authorization: set[str | None] = set()
        """The header of that name, of each prompt."""
        self.url = ""
        self._failing = failing
        self._random = random.Random(seed)
        self._port = port
        self._served = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; on the same port again after `stop`, where that is a fixed one."""
        routes = (
            ("GET", "/info", self._info),
            ("GET", "/health", self._health),
            ("POST", "/generate", self.generate),
        )
        self.url = await self._served.enter_async_context(serving(*routes, port=self._port))

    async def stop(self) -> None:
        """Refuse connections, and close those that are open."""
        await self._served.aclose()

    async def _failure(self, request: web.Request) -> web.StreamResponse | None:
        return None if self.failure is None else await self.failure(request)

    async def _info(self, request: web.Request) -> web.StreamResponse:
        response = await self._failure(request)
        return web.json_response(self.info) if response is None else response

    async def _health(self, request: web.Request) -> web.StreamResponse:
        response = await self._failure(request)
        return web.Response() if response is None else response

    async def generate(self, request: web.Request) -> web.StreamResponse:
        """Answer a prompt."""
        self.authorization.add(request.headers.get("Authorization"))
        if (response := await self._failure(request)) is not None:
            return response
        if self.status != 200:
            return web.Response(status=self.status)
        if self._random.random() < self._failing:
            self.failed += 1
            return error_response(self._random.choice(list(ERROR_TYPES)))
        prompt = (await request.json())["inputs"]
        self.prompts.append(prompt)
        return web.json_response({"generated_text": self.answer(prompt)})
