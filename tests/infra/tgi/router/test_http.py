"""Keys, origins and permits: who gets an answer."""

from __future__ import annotations

import asyncio
import hmac
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from infra.tgi import ServerSettings, TgiServer
from infra.tgi.engine import Encoded
from tests.infra.tgi.stand_in import StandIn

_ASK = {"inputs": "emotion", "parameters": {"max_new_tokens": 20}}


@asynccontextmanager
async def running(
    engine: StandIn | None = None, **settings: Any
) -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        TgiServer(ServerSettings(port=0, **settings), engine=engine or StandIn()) as server,
        aiohttp.ClientSession(server.url) as client,
    ):
        yield client


@pytest.mark.parametrize("given", ["Bearer Secret", "bearer sECRET"])
async def test_the_right_key_is_taken_in_any_case_as_tgi_takes_it(given: str) -> None:
    async with running(api_key="Secret") as client:
        headers = {"Authorization": given}
        async with client.post("/generate", json=_ASK, headers=headers) as response:
            assert response.status == 200


@pytest.mark.parametrize("given", ["", "Secret", "Bearer Secre", "Bearer Secret2", "Bearer Sécret"])
async def test_a_wrong_key_is_refused_after_a_comparison_in_constant_time(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[bytes] = []
    real = hmac.compare_digest

    def spy(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    async with running(api_key="Secret") as client:
        headers = {"Authorization": given}
        async with client.post("/generate", json=_ASK, headers=headers) as response:
            assert (response.status, await response.read()) == (401, b"")
    assert compared == [b"bearer secret"]


async def test_any_origin_may_read_the_answers_unless_some_are_named() -> None:
    async with running() as client:
        headers = {"Origin": "http://page"}
        async with client.post("/generate", json=_ASK, headers=headers) as response:
            assert response.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("path", ["/generate", "/generate_stream", "/v1/completions", "/nothing"])
@pytest.mark.parametrize(
    ("origin", "allowed"), [("http://a", "http://a"), ("http://b", "http://b"), ("http://c", None)]
)
async def test_where_origins_are_named_the_others_may_not_read_the_answers(
    path: str, origin: str, allowed: str | None
) -> None:
    async with running(cors_allow_origin=("http://a", "http://b")) as client:
        body = {**_ASK, "prompt": "emotion", "stream": True}
        async with client.post(path, json=body, headers={"Origin": origin}) as response:
            await response.read()
            assert response.headers.get("Access-Control-Allow-Origin") == allowed
        async with client.options(path, headers={"Origin": origin}) as response:
            assert response.status == 200
            assert response.headers.get("Access-Control-Allow-Origin") == allowed
            assert response.headers["Access-Control-Allow-Methods"] == "GET,POST"


class _SlowToEncode(StandIn):
    """Holds long texts back while `gate` is clear."""

    def encode(self, texts: Sequence[str], *, add_special_tokens: bool = True) -> list[Encoded]:
        if len(texts[0]) > 100_000:
            self.entered.release()
            self.gate.wait(10)
        return super().encode(texts, add_special_tokens=add_special_tokens)


async def test_tokenizing_has_permits_of_its_own() -> None:
    """As many as generating has; each is refused without the other (429)."""
    engine = _SlowToEncode()
    async with running(engine, max_concurrent_requests=1) as client:
        engine.gate.clear()

        async def tokenize(text: str) -> int:
            async with client.post("/tokenize", json={"inputs": text}) as response:
                await response.read()
                return response.status

        huge = asyncio.ensure_future(tokenize("x " * 100_000))
        await asyncio.to_thread(engine.entered.acquire)
        assert await tokenize("x") == 429
        engine.gate.set()
        assert await huge == 200
        assert await tokenize("x") == 200


async def test_a_grammar_is_prepared_before_its_job_is_queued_and_not_on_the_loop() -> None:
    threads: list[str] = []

    class Recording(StandIn):
        def check_grammar(self, pattern: str) -> None:
            threads.append(threading.current_thread().name)
            super().check_grammar(pattern)

    async with running(Recording()) as client:
        grammar = {"type": "json", "value": {"properties": {"a": {"type": "number"}}}}
        body = {"inputs": "x", "parameters": {"grammar": grammar}}
        async with client.post("/generate", json=body) as response:
            assert response.status == 200
    assert len(threads) == 1
    assert threads[0].startswith("validate")


async def test_a_grammar_that_would_hold_the_server_is_refused() -> None:
    """517 bytes of nested arrays held it for 67 seconds."""
    schema = '{"type":"array","items":' * 20 + '{"type":"number"}' + "}" * 20
    body = (
        '{"inputs":"x","parameters":{"grammar":{"type":"json","value":'
        f'{{"properties":{{"a":{schema}}}}}}}}}}}'
    )
    async with (
        running() as client,
        client.post(
            "/generate", data=body, headers={"Content-Type": "application/json"}
        ) as response,
    ):
        assert response.status == 422
        assert (await response.json())["error_type"] == "validation"
