"""A model server for the end-to-end tests: instant, deterministic, and failing on request.

It answers every EmoLLM prompt readably, from a hash of the prompt, and the canary's as asked.
"""

import hashlib
import random
from dataclasses import dataclass, field
from typing import NamedTuple

from aiohttp import web


class Mood(NamedTuple):
    valence: str
    labels: list[str]


MOODS = {
    "I am so happy today": Mood("0.95", ["joy", "love"]),
    "I am furious": Mood("0.1", ["anger", "disgust"]),
    "I am terrified": Mood("0.15", ["fear"]),
    "The meeting was moved": Mood("0.5", []),
}
"""By the beginnings of the canary's texts."""
LABELS = ("anger", "anticipation", "disgust", "fear", "joy", "love", "sadness", "surprise")


@dataclass
class FaultyModelServer:
    """TGI's `/generate` and `/info` on a free port of 127.0.0.1, with seeded faults."""

    seed: int = 7
    failing: float = 0.0
    """Share of requests that get 424, 429, 500 or 503 instead of an answer."""
    asked: int = 0
    failed: int = 0
    url: str = ""
    _runner: web.AppRunner | None = None
    _random: random.Random = field(default_factory=random.Random)

    async def start(self) -> None:
        self._random.seed(self.seed)
        app = web.Application()
        app.router.add_post("/generate", self._generate)
        app.router.add_get("/info", self._info)
        app.router.add_get("/health", self._health)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response()

    async def _info(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "model_id": "emostream-small",
                "model_sha": "e2e",
                "max_concurrent_requests": 64,
                "max_input_tokens": 1024,
                "max_total_tokens": 1088,
                "version": "3.3.6",
                "router": "text-generation-router",
            }
        )

    async def _generate(self, request: web.Request) -> web.Response:
        prompt = (await request.json())["inputs"]
        self.asked += 1
        if self._random.random() < self.failing:
            self.failed += 1
            status, kind = self._random.choice(
                [
                    (424, "generation"),
                    (429, "overloaded"),
                    (500, "incomplete_generation"),
                    (503, "healthcheck"),
                ]
            )
            return web.json_response({"error": "injected", "error_type": kind}, status=status)
        return web.json_response({"generated_text": answer(prompt)})


def answer(prompt: str) -> str:
    """A readable answer, the same for the same prompt; to the canary's texts a plausible one."""
    mood = next((mood for mark, mood in MOODS.items() if mark in prompt), None)
    digest = hashlib.sha256(prompt.encode()).digest()
    if "contains emotions:" in prompt:
        found = sorted({LABELS[byte % len(LABELS)] for byte in digest[: digest[2] % 3]})
        labels = found if mood is None else mood.labels
        return ", ".join(labels) + "." if labels else "neutral or no emotion."
    if mood is None:
        return f"{digest[1] / 255:.3f}"
    if "Emotion E: " in prompt:
        emotion = prompt.rsplit("Emotion E: ", 1)[1].split(".", maxsplit=1)[0]
        return "0.9" if emotion in mood.labels else "0.1"
    return mood.valence
