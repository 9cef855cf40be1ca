"""The server answers as a real TGI 3.3 answered: contract.jsonl, derived from its recording."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from infra.tgi import ServerSettings, TgiServer
from tests.infra.tgi.stand_in import StandIn
from tests.polling import until

CASES: list[dict[str, Any]] = [
    json.loads(line)
    for line in (Path(__file__).parent / "contract.jsonl").read_text(encoding="utf-8").splitlines()
]

#: Where this server differs, for a client that sends what no client should. TGI's own reader
#: (serde) refuses a repeated key and stops reading behind the value; msgspec does neither.
DIFFERENT: dict[str, tuple[int, str]] = {
    "duplicate key": (200, "json"),
    "trailing garbage": (400, "text"),
}


def test_at_least_95_percent_of_the_recorded_cases_are_answered_alike() -> None:
    """`test_answers_as_tgi_did` proves each of the others."""
    assert DIFFERENT.keys() <= {case["case"] for case in CASES}
    assert len(DIFFERENT) <= 0.05 * len(CASES)


def _body(case: dict[str, Any]) -> bytes | None:
    spec = case.get("body")
    if spec is None:
        return None
    if "text" in spec:
        return str(spec["text"]).encode()
    if "base64" in spec:
        return base64.b64decode(spec["base64"])
    return str(spec["prefix"] + spec["unit"] * spec["times"] + spec["suffix"]).encode()


def _sent(case: dict[str, Any]) -> bytes | io.BytesIO | None:
    body = _body(case)
    # aiohttp warns of large bodies that aren't files.
    return io.BytesIO(body) if body is not None and len(body) > 500_000 else body


def _kind(response: aiohttp.ClientResponse, body: str) -> str:
    if not body:
        return "empty"
    named = response.headers.get("Content-Type", "")
    return "sse" if "event-stream" in named else "json" if "json" in named else "text"


def _refusal(body: str) -> str:
    """Without what the JSON or the regex library says in its own words."""
    if body.startswith("{") and "Server error: " not in body:
        return body
    return body.partition(": ")[0]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def servers() -> AsyncIterator[dict[str, TgiServer]]:
    full = StandIn()
    made = {
        "plain": TgiServer(
            ServerSettings(port=0, max_input_tokens=1024, max_total_tokens=2048),
            engine=StandIn(),
        ),
        "key": TgiServer(
            ServerSettings(
                port=0,
                max_input_tokens=512,
                max_total_tokens=1024,
                max_concurrent_requests=3,
                api_key="Secret-Key",
            ),
            engine=StandIn(),
        ),
        "full": TgiServer(
            ServerSettings(port=0, max_concurrent_requests=3, api_key="Secret-Key"), engine=full
        ),
    }
    for server in made.values():
        await server.start()
    full.gate.clear()
    async with aiohttp.ClientSession() as client:

        async def hold() -> int:
            async with client.post(
                made["full"].url + "/generate",
                json={"inputs": "emotion"},
                headers={"Authorization": "Bearer Secret-Key"},
            ) as response:
                await response.read()
                return response.status

        waiting = [asyncio.ensure_future(hold()) for _ in range(3)]
        await asyncio.to_thread(full.entered.acquire)
        await until(lambda: "tgi_request_count 3" in made["full"].metrics.text())
        yield made
        full.gate.set()
        assert await asyncio.gather(*waiting) == [200, 200, 200]
    for server in made.values():
        await server.stop()


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
async def test_answers_as_tgi_did(servers: dict[str, TgiServer], case: dict[str, Any]) -> None:
    """Status, kind of body, error_type; and the body itself where it is a JSON refusal."""
    async with (
        aiohttp.ClientSession(skip_auto_headers=["Content-Type"]) as client,
        client.request(
            case["method"],
            servers[case["server"]].url + case["path"],
            data=_sent(case),
            headers=case["headers"],
        ) as response,
    ):
        body = (await response.read()).decode()
    found = (response.status, _kind(response, body))
    if case["case"] in DIFFERENT:
        assert found == DIFFERENT[case["case"]]
        return
    assert found == (case["status"], case["kind"])
    if case["error_type"] is not None:
        assert json.loads(body.removeprefix("data: "))["error_type"] == case["error_type"]
    if "answer" in case:
        assert _refusal(body) == _refusal(case["answer"])
    if "generated_text" in case:
        answer = json.loads(body)
        answer = answer[0] if isinstance(answer, list) else answer
        assert answer["generated_text"] == case["generated_text"]
