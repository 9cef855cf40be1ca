"""A TGI of a few lines, on a real socket, with an EmoLLM that knows the canaries."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from emollm.canary import CANARIES, Canary
from emollm.readers import Value
from emollm.tasks import TASKS


def _right(canary: Canary) -> Value:
    if canary.any_of:
        return (canary.any_of[0],)
    low = canary.minimum if canary.minimum is not None else (-3 if canary.task == "V-oc" else 0)
    high = canary.maximum if canary.maximum is not None else max(low, 1)
    return (low + high) / 2 if canary.task.endswith("-reg") else int(low)


def emollm(prompt: str) -> str:
    """Answer as an EmoLLM: rightly where a canary is asked, and else that all is joy."""
    for canary in CANARIES:
        task = TASKS[canary.task]
        asked = any(wording in prompt for wording in task.wordings)
        about = canary.emotion is None or f"Emotion E: {canary.emotion}." in prompt
        if asked and about and canary.text in prompt:
            return task.write(_right(canary), canary.emotion)
    if "This tweet contains emotions" in prompt:
        return "joy, optimism."
    return "0.734" if "Intensity Score" in prompt else "1: slightly positive emotional state"


class FakeTgi:
    """What it is asked, and how it answers."""

    def __init__(self, say: Callable[[str], str] = emollm) -> None:
        self.say = say
        self.status = 200
        self.model_id = "lzw1008/Emollama-chat-7b"
        self.asked: list[str] = []
        self.authorization: set[str | None] = set()
        self.url = ""

    async def info(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "model_id": self.model_id,
                "model_sha": "5ha",
                "max_concurrent_requests": 128,
                "max_input_tokens": 1_000,
                "max_total_tokens": 1_100,
                "version": "3.3.6",
            }
        )

    async def generate(self, request: web.Request) -> web.Response:
        self.authorization.add(request.headers.get("Authorization"))
        if self.status != 200:
            return web.Response(status=self.status)
        prompt = (await request.json())["inputs"]
        self.asked.append(prompt)
        return web.json_response({"generated_text": self.say(prompt)})


@asynccontextmanager
async def serving(tgi: FakeTgi) -> AsyncIterator[FakeTgi]:
    """Serve it on a free port of 127.0.0.1."""
    app = web.Application()
    app.router.add_get("/info", tgi.info)
    app.router.add_post("/generate", tgi.generate)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    tgi.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield tgi
    finally:
        await runner.cleanup()
