"""TLS and SASL, from the settings through aiokafka to a real broker that insists on them."""

import base64
import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme
from cryptography.hazmat.primitives import serialization as pem

from consumer.app import kafka_options
from consumer.settings import Settings
from infra.kafka import BrokerSettings
from runtime.kafka.aiokafka_brokers import AiokafkaBrokers
from runtime.kafka.errors import Denied, Unreachable
from tests.runtime.kafka.on_free_ports import on_free_ports

pytestmark = [pytest.mark.kafka, pytest.mark.usefixtures("patient")]

JAAS = "org.apache.kafka.common.security"
PLAIN = f'{JAAS}.plain.PlainLoginModule required user_ann="sekrit";'
# Kafka's own for development: takes tokens that nobody signed.
OAUTH = f'{JAAS}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="k";'


class Secured(NamedTuple):
    sasl: str
    """Listener with TLS and SASL."""
    tls: str
    """Listener with TLS alone."""
    ca_file: Path


@pytest.fixture(scope="module")
async def secured(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Secured]:
    authority = trustme.CA()
    ca_file = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    certificate = authority.issue_cert("127.0.0.1")
    key = pem.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    key_pem = key.private_bytes(
        pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption()
    ).decode()

    def settings(plain: int, controller: int, sasl: int, tls: int) -> BrokerSettings:
        listeners = {"PLAINTEXT": plain, "SASL": sasl, "TLS": tls}
        ours = ",".join(f"{name}://127.0.0.1:{port}" for name, port in listeners.items())
        properties = {
            "listeners": f"{ours},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": ours,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listener.security.protocol.map": (
                "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_SSL,TLS:SSL"
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.certificate.chain": "".join(
                blob.bytes().decode() for blob in certificate.cert_chain_pems
            ),
            "ssl.keystore.key": key_pem,
            "listener.name.sasl.sasl.enabled.mechanisms": "PLAIN,OAUTHBEARER",
            "listener.name.sasl.plain.sasl.jaas.config": PLAIN,
            "listener.name.sasl.oauthbearer.sasl.jaas.config": OAUTH,
        }
        return BrokerSettings(port=plain, properties=properties)

    async with on_free_ports(4, settings) as (_, _, sasl, tls):
        yield Secured(f"127.0.0.1:{sasl}", f"127.0.0.1:{tls}", ca_file)


def unsigned_token(subject: str, age_s: float = 0) -> str:
    now = int(time.time() - age_s)
    parts = ({"alg": "none"}, {"sub": subject, "iat": now - 5, "exp": now + 600})
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()) for part in parts)
    return ".".join(part.decode().rstrip("=") for part in encoded) + "."


async def topics_seen(bootstrap: str, ca_file: Path | None, **sasl: Any) -> set[str]:
    """The topics that the consumer's own client sees, set up as the service sets it up."""
    return await seen_with(bootstrap, tls(ca_file) if ca_file else {}, sasl)


def tls(ca_file: Path, *, check_hostname: bool = True) -> dict[str, Any]:
    return {"enabled": True, "ca_file": str(ca_file), "check_hostname": check_hostname}


async def seen_with(
    bootstrap: str, encryption: Mapping[str, Any], sasl: Mapping[str, Any]
) -> set[str]:
    settings = Settings.model_validate(
        {
            "kafka": {
                "bootstrap": bootstrap,
                "tls": encryption,
                "sasl": sasl,
            },
            "input": {"group_id": uuid.uuid4().hex},
        }
    )
    brokers = AiokafkaBrokers(kafka_options(settings))
    producer = brokers.producer()
    consumer = brokers.consumer()
    try:
        await producer.start()
        await consumer.start()
        return await consumer.topics()
    finally:
        await producer.stop(timeout_s=1)
        await consumer.stop()


async def test_tls_with_the_given_authority(secured: Secured) -> None:
    await topics_seen(secured.tls, secured.ca_file)


@pytest.mark.parametrize("check_hostname", [True, False])
async def test_a_certificate_of_another_authority_is_refused(
    secured: Secured, tmp_path: Path, check_hostname: bool
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    with pytest.raises(Unreachable, match=r"isn't accepted .unable to get"):
        await seen_with(secured.tls, tls(other, check_hostname=check_hostname), {})


async def test_another_name_is_taken_only_where_names_are_not_checked(secured: Secured) -> None:
    elsewhere = secured.tls.replace("127.0.0.1", "localhost")
    with pytest.raises(Unreachable, match=r"isn't accepted .Hostname"):
        await topics_seen(elsewhere, secured.ca_file)
    await seen_with(elsewhere, tls(secured.ca_file, check_hostname=False), {})


async def test_user_and_password_over_tls(secured: Secured) -> None:
    ann = {"mechanism": "PLAIN", "username": "ann", "password": "sekrit"}
    await topics_seen(secured.sasl, secured.ca_file, **ann)


async def test_a_wrong_password_is_denied_and_not_repeated(secured: Secured) -> None:
    wrong = {"mechanism": "PLAIN", "username": "ann", "password": "guessed"}
    with pytest.raises(Denied, match="Invalid username or password") as error:
        await topics_seen(secured.sasl, secured.ca_file, **wrong)
    assert "guessed" not in str(error.value)


async def test_credentials_that_nobody_asked_for_are_denied(secured: Secured) -> None:
    ann = {"mechanism": "PLAIN", "username": "ann", "password": "sekrit"}
    with pytest.raises(Denied):
        await topics_seen(secured.tls, secured.ca_file, **ann)


async def test_a_token_from_a_file(secured: Secured, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(unsigned_token("ann"))
    bearer = {"mechanism": "OAUTHBEARER", "token_file": str(token)}
    await topics_seen(secured.sasl, secured.ca_file, **bearer)


async def test_a_token_that_the_brokers_refuse_is_denied(secured: Secured, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(unsigned_token("ann", age_s=3_600))
    bearer = {"mechanism": "OAUTHBEARER", "token_file": str(token)}
    with pytest.raises(Denied):
        await topics_seen(secured.sasl, secured.ca_file, **bearer)
