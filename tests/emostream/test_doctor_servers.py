"""What `emostream doctor` says of a model server in trouble: its words, and the key to change."""

import asyncio

import pytest
from aiohttp import web

from consumer.analysis.plan import make_plan
from consumer.assembly import second_server_options, server_options
from consumer.settings import Settings
from emostream.diagnosis import _server
from emostream.findings import Finding
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
        timeout_s = 0.2 if failure is hanging else 5  # what answers may be slow on a busy machine
        settings = Settings.model_validate(
            {"model": {"servers": [tgi.url], "timeout_s": timeout_s}}
        )
        (options,) = server_options(settings)
        tasks = make_plan(settings.tasks, ()).tasks
        return [finding async for finding in _server(settings.model, options, tasks)]


async def findings_of_second(url: str, timeout_s: float = 5) -> list[Finding]:
    second = {"servers": [url], "timeout_s": timeout_s}
    settings = Settings.model_validate({"model": {"second": second}})
    (options,) = second_server_options(settings)
    tasks = make_plan(settings.tasks, ()).tasks
    return [one async for one in _server(settings.model.second, options, tasks, of="second ")]


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


async def test_name_and_revision_are_recommended_unless_they_are_configured() -> None:
    """Event ids hold them only then: those of two models would be the same."""

    async def message(**configured: str) -> str:
        async with FakeTgi() as tgi:
            settings = Settings.model_validate({"model": {"servers": [tgi.url], **configured}})
            (options,) = server_options(settings)
            found = [one async for one in _server(settings.model, options, ())]
        assert found[0].state == "ok"
        return found[0].message

    first = await message()
    assert 'model.name = "lzw1008/Emollama-chat-7b" and model.revision = "5ha"' in first
    named = await message(name="lzw1008/Emollama-chat-7b")
    assert "model.name" not in named
    assert 'model.revision = "5ha"' in named
    whole = await message(name="lzw1008/Emollama-chat-7b", revision="5ha")
    assert "recommended" not in whole


@pytest.mark.parametrize(
    ("failure", "key"),
    [
        (refusing(401), "model.second.token"),
        (refusing(413, "length limit exceeded"), "model.second.max_input_tokens"),
        (hanging, "model.second.timeout_s"),
    ],
)
async def test_a_second_servers_trouble_names_the_key_of_the_second(
    failure: Failure, key: str
) -> None:
    async with FakeTgi(failure=failure) as tgi:
        found = await findings_of_second(tgi.url, 0.2 if failure is hanging else 5)
    assert key in found[1].message
    assert " model.second." in found[1].message
    assert " model.t" not in found[1].message


async def test_a_second_server_that_is_not_there_names_its_own_list() -> None:
    found = await findings_of_second("http://127.0.0.1:1")
    assert found[0].message.endswith("check that it runs, and the URL in model.second.servers")


async def test_a_second_server_that_speaks_the_other_scheme_names_its_own_list() -> None:
    async with FakeTgi() as tgi:
        found = await findings_of_second(tgi.url.replace("http://", "https://"))
    assert f"write {tgi.url} in model.second.servers" in found[0].message
