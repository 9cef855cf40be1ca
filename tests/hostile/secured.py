"""A real broker that insists on TLS and credentials, and secrets of every kind for it."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import trustme
from aiohttp import web
from cryptography.hazmat.primitives import serialization as pem
from pydantic import BaseModel, SecretStr

from consumer.settings import Settings
from infra.kafka import BrokerSettings
from tests.runtime.kafka.on_free_ports import on_free_ports
from tests.runtime.kafka.test_security_on_kafka import unsigned_token

_LOGIN = "org.apache.kafka.common.security.{}LoginModule required {};"


def secret_settings(model: type[BaseModel] = Settings, path: str = "") -> Iterator[str]:
    """Every setting that holds a secret, by its type: one that is added later is found, too."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if kind is SecretStr:
            yield f"{path}{name}"
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from secret_settings(kind, f"{path}{name}.")


SECRETS = {path: f"zq9-{path.replace('.', '-')}-7Tb/4+x" for path in secret_settings()}
SECRETS["tracing.headers"] = "zq9-tracing-headers=7Tb/4+x"
"""What is set, and looked for everywhere. With signs that encodings change."""
BEARER = "zq9-access-token"
"""In the access token of OAUTHBEARER, as its subject; base64 hides it from nobody."""


class Secured(NamedTuple):
    """The broker's addresses, and the files of its clients."""

    plain: str
    """Without any of it, for whoever makes topics and looks."""
    sasl: str
    """With TLS, PLAIN and OAUTHBEARER."""
    ca_file: Path
    cert_file: Path
    key_file: Path
    """Encrypted with the secret of `kafka.tls.key_password`."""


@asynccontextmanager
async def secured_kafka(folder: Path) -> AsyncIterator[Secured]:
    """Run it."""
    authority = trustme.CA()
    ca_file, cert_file, key_file = (folder / name for name in ("ca.pem", "cert.pem", "key.pem"))
    authority.cert_pem.write_to_path(ca_file)
    issued = authority.issue_cert("127.0.0.1")
    key = pem.load_pem_private_key(issued.private_key_pem.bytes(), None)
    chain = "".join(blob.bytes().decode() for blob in issued.cert_chain_pems)
    cert_file.write_text(chain, encoding="ascii")
    password = SECRETS["kafka.tls.key_password"].encode()
    locked = pem.BestAvailableEncryption(password)
    key_file.write_bytes(key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, locked))

    def settings(plain: int, controller: int, sasl: int) -> BrokerSettings:
        ours = f"PLAINTEXT://127.0.0.1:{plain},SASL://127.0.0.1:{sasl}"
        user = f'user_ann="{SECRETS["kafka.sasl.password"]}"'
        properties = {
            "listeners": f"{ours},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": ours,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listener.security.protocol.map": (
                "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_SSL"
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.certificate.chain": chain,
            "ssl.keystore.key": key.private_bytes(
                pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption()
            ).decode(),
            "listener.name.sasl.sasl.enabled.mechanisms": "PLAIN,OAUTHBEARER",
            "listener.name.sasl.plain.sasl.jaas.config": _LOGIN.format("plain.Plain", user),
            # Kafka's own for development: takes tokens that nobody signed.
            "listener.name.sasl.oauthbearer.sasl.jaas.config": _LOGIN.format(
                "oauthbearer.OAuthBearer", 'unsecuredLoginStringClaim_sub="k"'
            ),
        }
        return BrokerSettings(port=plain, properties=properties)

    async with on_free_ports(3, settings) as (plain, _, sasl):
        yield Secured(f"127.0.0.1:{plain}", f"127.0.0.1:{sasl}", ca_file, cert_file, key_file)


class TokenEndpoint:
    """An OAuth token endpoint that repeats in its errors what it was sent: credentials."""

    def __init__(self) -> None:
        self.status = 200
        self.asked: list[str] = []
        self.url = ""

    async def token(self, request: web.Request) -> web.Response:
        self.asked.append(request.headers.get("Authorization", ""))
        if self.status != 200:
            error = f"no: {self.asked[-1]} {SECRETS['kafka.sasl.client_secret']}"
            return web.Response(status=self.status, text=json.dumps({"error": error}))
        return web.json_response({"access_token": unsigned_token(BEARER), "expires_in": 300})


class EchoingRefusal:
    """A model server's failure hook: refuses and says back what it was given, headers and all."""

    def __init__(self) -> None:
        self.status = 200
        """With 200 it lets the request pass."""

    async def __call__(self, request: web.Request) -> web.Response | None:
        if self.status == 200:
            return None
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        body = {"error": f"{token} is no good, says {dict(request.headers)}", "error_type": token}
        return web.json_response(body, status=self.status)
