"""What one broker answers by itself: why it refuses us, and which cluster it belongs to."""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import AuthenticationFailedError, KafkaConnectionError, KafkaError
from aiokafka.protocol.metadata import MetadataRequest

_ASK_S = 10.0
"""For one broker: it has just answered aiokafka, or has just not."""


async def refusal(bootstrap: str, security: Mapping[str, Any]) -> BaseException | None:
    """Ask each broker for its cluster; give what the first one says that refuses us, else any.

    `security` is `client_security`'s. None where a broker lets us in now, or nothing is to be
    known: without TLS and SASL a broker refuses nobody.
    """
    if security.get("security_protocol", "PLAINTEXT") == "PLAINTEXT":
        return None
    found: BaseException | None = None
    for host, port, _ in collect_hosts(bootstrap):
        try:
            async with asyncio.timeout(_ASK_S):
                await _enter(host, port, security)
        except (OSError, KafkaError) as error:  # a timeout and a bad certificate are OSErrors
            if found is None or not isinstance(error, OSError | KafkaConnectionError):
                found = error
        else:
            return None
    return found


async def cluster_id(bootstrap: str, security: Mapping[str, Any]) -> str:
    """Give the id that the first broker which answers has for its cluster; empty where it has none.

    Raises:
        OSError, KafkaError: none answers; what the last one failed with.
    """
    last: BaseException = KafkaConnectionError(f"no broker in {bootstrap!r}")
    for host, port, _ in collect_hosts(bootstrap):
        try:
            async with asyncio.timeout(_ASK_S):
                return await _enter(host, port, security)
        except (OSError, KafkaError) as error:  # a timeout is an OSError
            last = error
    raise last


async def _enter(host: str, port: int, security: Mapping[str, Any]) -> str:
    """Ask a broker for its cluster; give the cluster's id."""
    connection = await create_conn(host, port, **security)
    try:
        cluster = await connection.send(MetadataRequest([]))
    finally:
        connection.close()
    if not cluster.brokers and security.get("sasl_mechanism") == "OAUTHBEARER":
        # aiokafka 0.14 never reads what the broker says of a token, and takes that it refuses the
        # first request for a cluster without brokers.
        raise AuthenticationFailedError(
            "the brokers refuse the token: has it expired, and is it meant for them?"
        )
    return getattr(cluster, "cluster_id", None) or ""  # since Kafka 0.10.1
