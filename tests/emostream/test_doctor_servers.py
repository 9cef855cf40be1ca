"""What `emostream doctor` says of a model server in trouble: its words, and the key to change."""

import asyncio

import pytest
from aiohttp import web

from consumer.analysis.plan import make_plan
from consumer.assembly import server_options
from consumer.settings import Settings
from emostream.diagnosis import Finding, _server
from tests.tgi import Failure, FakeTgi


def refusing(status: int, words: str = "") -> Failure:
    async def failure(request: web.Request) -> web.StreamResponse | None:
        if request.path != "/generate":
            return None
        if status == 422:
            body = {"error": words, "error_type": "validation"}
            return web.json_response(body, status=status)
        return web.Response(status=status, text=words)

    return failure


async def hanging(request: web.Request) -> web.StreamResponse | None:
    """TGI with a dead batching task: `/health` says 200, and no prompt is ever answered."""
    if request.path == "/generate":
        await asyncio.Event().wait()
    return None


async def findings(failure: Failure) -> list[Finding]:
    async with FakeTgi(failure=failure) as tgi:
        settings = Settings.model_validate({"model": {"servers": [tgi.url], "timeout_s": 0.2}})
        (options,) = server_options(settings)
        tasks = make_plan(settings.tasks, ()).tasks
        return [finding async for finding in _server(settings.model, options, tasks)]


@pytest.mark.parametrize(
    ("failure", "said", "key"),
    [
        (refusing(401), "status 401", "model.token"),
        (refusing(413, "length limit exceeded"), "413", "model.max_input_tokens"),
        (
            refusing(422, "inputs must have less than 5 tokens"),
            "5 tokens",
            "model.max_input_tokens",
        ),
        (hanging, "no answer within", "model.timeout_s"),
    ],
)
async def test_a_servers_trouble_is_told_with_the_key_to_change(
    failure: Failure, said: str, key: str
) -> None:
    found = await findings(failure)
    assert [one.state for one in found] == ["ok", "bad"]  # `/info` is well
    assert said in found[1].message
    assert key in found[1].message
