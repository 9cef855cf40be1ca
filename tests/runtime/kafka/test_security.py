"""TLS and SASL reach aiokafka; secrets stay where they are."""

import base64
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiokafka.errors import AuthenticationFailedError, KafkaConnectionError

from runtime.kafka.security import ClientCredentials, FileToken, client_security
from runtime.settings import ConfigError, Kafka
from tests.http_server import serving


def kafka(**changes: Any) -> Kafka:
    return Kafka.model_validate(changes)


OAUTH = {"mechanism": "OAUTHBEARER", "token_file": "/run/token"}


def test_plaintext_needs_nothing() -> None:
    assert client_security(kafka()) == {"security_protocol": "PLAINTEXT"}


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_user_and_password_reach_the_client(mechanism: str) -> None:
    options = client_security(
        kafka(
            tls={"enabled": True},
            sasl={"mechanism": mechanism, "username": "u", "password": "p"},
        )
    )
    context = options.pop("ssl_context")
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert options == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": mechanism,
        "sasl_plain_username": "u",
        "sasl_plain_password": "p",
    }


def test_without_the_check_of_host_names_certificates_are_still_verified() -> None:
    context = client_security(kafka(tls={"enabled": True, "check_hostname": False}))["ssl_context"]
    assert not context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_a_ca_file_that_is_none_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("junk")
    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(ConfigError, match=r"kafka\.tls\.ca_file"):
            client_security(kafka(tls={"enabled": True, "ca_file": str(tmp_path / name)}))


def test_a_client_certificate_that_is_none_is_a_configuration_error(tmp_path: Path) -> None:
    path = str(tmp_path / "cert.pem")
    with pytest.raises(ConfigError, match=r"kafka\.tls"):
        client_security(kafka(tls={"enabled": True, "cert_file": path, "key_file": path}))


async def test_a_token_file_is_read_again_each_time(tmp_path: Path) -> None:
    path = tmp_path / "token"
    provider = FileToken(str(path))
    with pytest.raises(AuthenticationFailedError, match="no token"):
        await provider.token()
    path.write_text("one\n")
    assert await provider.token() == "one"
    path.write_text("two")
    assert await provider.token() == "two"
    path.write_text(" ")
    with pytest.raises(AuthenticationFailedError, match="empty"):
        await provider.token()


class Endpoint:
    """A token endpoint that answers with `status` and `body`."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.status = 200
        self.body: Any = None
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        form = dict(await request.post())
        self.requests.append((request.headers["Authorization"], form))
        body = self.body or {"access_token": f"t{len(self.requests)}", "expires_in": 300}
        return web.json_response(body, status=self.status)


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    found = Endpoint()
    async with serving(("POST", "/token", found.answer)) as url:
        found.url = f"{url}/token"
        yield found


def credentials(
    url: str, clock: list[float], *, client_id: str = "me", secret: str = "sekrit"
) -> ClientCredentials:
    sasl = kafka(
        tls={"enabled": True},
        sasl={
            "mechanism": "OAUTHBEARER",
            "token_url": url,
            "client_id": client_id,
            "client_secret": secret,
            "scope": "kafka",
        },
    ).sasl
    return ClientCredentials(sasl, monotonic=lambda: clock[0])


async def test_a_token_is_shared_until_shortly_before_it_expires(endpoint: Endpoint) -> None:
    clock = [0.0]
    provider = credentials(endpoint.url, clock)
    assert [await provider.token(), await provider.token()] == ["t1", "t1"]
    authorization, form = endpoint.requests[0]
    assert base64.b64decode(authorization.removeprefix("Basic ")) == b"me:sekrit"
    assert form == {"grant_type": "client_credentials", "scope": "kafka"}
    clock[0] = 239.0
    assert await provider.token() == "t1"
    clock[0] = 240.0
    assert await provider.token() == "t2"


async def test_client_id_and_secret_are_form_encoded_before_they_are_joined(
    endpoint: Endpoint,
) -> None:
    """RFC 6749, 2.3.1: else a colon ends the id, and `+` and `%` are read as something else."""
    await credentials(endpoint.url, [0.0], client_id="me:1", secret="a+b%c:d e").token()
    authorization, _ = endpoint.requests[0]
    login = base64.b64decode(authorization.removeprefix("Basic "))
    assert login == b"me%3A1:a%2Bb%25c%3Ad+e"


async def test_a_refusal_a_failure_and_nonsense_are_told_apart(endpoint: Endpoint) -> None:
    provider = credentials(endpoint.url, [0.0])
    endpoint.status = 401
    with pytest.raises(AuthenticationFailedError, match="401") as refused:
        await provider.token()
    assert "sekrit" not in str(refused.value)
    endpoint.status = 503
    with pytest.raises(KafkaConnectionError):
        await provider.token()
    endpoint.status, endpoint.body = 200, ["nonsense"]
    with pytest.raises(AuthenticationFailedError, match="without an access_token"):
        await provider.token()


async def test_an_endpoint_that_is_away_may_come_back() -> None:
    with pytest.raises(KafkaConnectionError):
        await credentials("http://127.0.0.1:1/token", [0.0]).token()


def test_no_repr_shows_a_secret() -> None:
    provider = credentials("http://127.0.0.1:1/token", [0.0])
    assert "sekrit" not in repr(provider)
    assert "sekrit" not in repr(client_security(kafka(tls={"enabled": True}, sasl=OAUTH)))
