"""A real broker with a listener of each kind, and rights that a test grants."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import trustme
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest, DescribeAclsRequest
from cryptography.hazmat.primitives import serialization as pem

from infra.kafka import BrokerSettings
from tests.runtime.kafka.on_free_ports import on_free_ports

PASSWORD = "sekrit"
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
_RESOURCES = {"topic": 2, "group": 3, "cluster": 4, "transactional-id": 5}
_OPERATIONS = {"READ": 3, "WRITE": 4, "DESCRIBE": 8, "IDEMPOTENT_WRITE": 12}
_LITERAL, _PREFIXED, _ALLOW = 3, 4, 3


class Guarded(NamedTuple):
    """Listeners, `host:port`. Who comes through `plain` may do everything."""

    plain: str
    sasl: str
    """SASL PLAIN without TLS; the users ann and bob have the rights that they are granted."""
    tls: str
    """TLS, without credentials."""
    ca_file: Path

    def login(self, user: str, password: str = PASSWORD) -> dict[str, Any]:
        """Client arguments."""
        return {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": user,
            "sasl_plain_password": password,
        }

    def trust(self) -> dict[str, Any]:
        """Client arguments for the TLS listener."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        return {"security_protocol": "SSL", "ssl_context": context}

    async def grant(self, user: str, rights: Iterable[tuple[str, str, str]]) -> None:
        """Grant (operation, resource, name); of transactional ids the name is how they begin."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.plain)
        await admin.start()
        try:
            for operation, resource, name in rights:
                acl = (
                    _RESOURCES[resource],
                    name or "kafka-cluster",
                    _PREFIXED if resource == "transactional-id" else _LITERAL,
                    f"User:{user}",
                    "*",
                    _OPERATIONS[operation],
                    _ALLOW,
                )
                answer = await admin._send_to_controller(CreateAclsRequest(*acl))
                assert [code for code, _ in answer.creation_responses] == [0]
                # The controller has it; the broker, which is asked, hears of it a moment later.
                async with asyncio.timeout(30):
                    while not (  # noqa: ASYNC110 - nobody tells when it knows
                        await admin._send_request(DescribeAclsRequest(*acl))
                    ).resources:
                        await asyncio.sleep(0.01)
        finally:
            await admin.close()


@asynccontextmanager
async def guarded_kafka(folder: Path) -> AsyncIterator[Guarded]:
    """Run one until the block ends."""
    authority = trustme.CA()
    ca_file = folder / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    certificate = authority.issue_cert("127.0.0.1")
    key = pem.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    key_pem = key.private_bytes(
        pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption()
    ).decode()
    users = " ".join(f'user_{name}="{PASSWORD}"' for name in ("ann", "bob"))

    def settings(plain: int, controller: int, sasl: int, tls: int) -> BrokerSettings:
        ours = ",".join(
            f"{name}://127.0.0.1:{port}"
            for name, port in (("PLAINTEXT", plain), ("SASL", sasl), ("TLS", tls))
        )
        properties = {
            "listeners": f"{ours},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": ours,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listener.security.protocol.map": (
                "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL"
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.certificate.chain": "".join(
                blob.bytes().decode() for blob in certificate.cert_chain_pems
            ),
            "ssl.keystore.key": key_pem,
            "listener.name.sasl.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl.plain.sasl.jaas.config": f"{_PLAIN} {users};",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }
        return BrokerSettings(port=plain, properties=properties)

    async with on_free_ports(4, settings) as (plain, _, sasl, tls):
        yield Guarded(f"127.0.0.1:{plain}", f"127.0.0.1:{sasl}", f"127.0.0.1:{tls}", ca_file)
