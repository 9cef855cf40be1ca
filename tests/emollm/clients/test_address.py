"""Where a model server is: what is refused, and what is never shown."""

from typing import Any

import pytest

from emollm.clients import HttpTransport, ServerOptions, make_client
from emollm.clients.address import refuse_plain_token
from emollm.errors import Unauthorized
from emollm.protocol import GenerateParams
from tests.raw_http import Connection, RawServer, Request, answering, http


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "gpu:8080"},
        {"url": "ftp://gpu"},
        {"url": "http://"},
        {"url": "http://gpu..local"},
        {"url": f"http://{'a' * 64}.local"},
        {"url": "http://gpu/?key=s3cret"},
        {"url": "http://gpu", "dialect": "grpc"},
        {"url": "http://gpu", "token": "line\nbreak"},
    ],
)
def test_options_that_cannot_work_are_refused_without_their_secrets(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"model server|dialect|token") as caught:
        ServerOptions(**wrong)
    assert "s3cret" not in str(caught.value)
    assert "line" not in str(caught.value)


async def test_a_server_that_repeats_our_authorization_does_not_get_it_into_an_error() -> None:
    async def behave(request: Request, connection: Connection) -> None:
        words = b'{"error":"no such user: %b"}' % request.headers["authorization"].encode()
        await connection.write(http(401, words))

    async with RawServer(behave) as server:
        for url, token in (
            (server.url.replace("//", "//me:hunter22@"), None),
            (server.url, "hush-hush-hush"),
        ):
            chosen = ServerOptions(url=url, dialect="tgi", token=token)
            client = make_client(chosen, HttpTransport(chosen))
            assert client is not None
            error = await client.generate("x", GenerateParams(max_new_tokens=4), timeout_s=5.0)
            await client.aclose()
            assert isinstance(error, Unauthorized)
            credentials = server.requests[-1].headers["authorization"].partition(" ")[2]
            assert credentials
            assert credentials not in str(error)
            assert "withheld" in str(error)


@pytest.mark.parametrize(
    ("path", "asked"),
    [("", "/info"), ("/tgi//", "/tgi/info"), ("/lzw%2FEmollama/", "/lzw%2FEmollama/info")],
)
async def test_a_prefix_is_asked_as_it_is_written(path: str, asked: str) -> None:
    async with RawServer(answering(200, b"{}")) as server:
        transport = HttpTransport(ServerOptions(url=f"{server.url}{path}"))
        await transport.get("/info", 5.0)
        await transport.aclose()
    assert server.requests[0].path == asked


@pytest.mark.parametrize(
    "route", ["/generate", "/generate/", "/v1/completions", "/v1/chat/completions", "/v1/models"]
)
def test_a_route_that_is_added_anyway_is_refused_with_the_url_to_write(route: str) -> None:
    with pytest.raises(ValueError, match=r"ends before /\S+, which is added to it") as refused:
        ServerOptions(url=f"http://me:hush@gpu:8080/tgi{route}")
    assert str(refused.value).endswith("write http://gpu:8080/tgi")
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("http://gpu-1:8080", True),
        ("http://10.0.0.7", True),
        ("https://gpu-1:8080", False),
        ("http://localhost:3000", False),
        ("http://127.0.0.1:3000", False),
        ("http://[::1]:3000", False),
    ],
)
def test_a_token_goes_to_another_machine_only_encrypted(url: str, *, refused: bool) -> None:
    refuse_plain_token(url, allowed=True)
    if not refused:
        refuse_plain_token(url, allowed=False)
        return
    with pytest.raises(ValueError, match=r"model\.allow_plain_token = true"):
        refuse_plain_token(url, allowed=False)
