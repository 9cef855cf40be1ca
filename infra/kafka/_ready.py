"""Ready means answering: what a broker must have done before a client is let near it."""

from __future__ import annotations

import asyncio
import contextlib

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.transaction import InitProducerIdRequest

from infra.kafka._ports import address
from runtime.kafka import unclosed

_POLL_S = 0.03
_GROUP, _ANY_GROUP = 0, "emostream-ready"
_REQUEST_TIMEOUT_MS = 5000


async def answering(host: str, port: int, cluster_id: str) -> None:
    """Return once the broker of this very cluster does what producers and groups need.

    That is: it names itself in its metadata (it is registered and not fenced), has a coordinator
    for consumer groups (so the offsets topic is there and led), and hands out producer ids (so
    idempotent producers can begin). Never gives up: the caller bounds it, in seconds.
    """
    unclosed.install()
    await _listening(host, port)
    while not await _answers(address(host, port), cluster_id):  # noqa: ASYNC110 - it is another process
        await asyncio.sleep(_POLL_S)


async def _listening(host: str, port: int) -> None:
    # Asked first without aiokafka, which logs every refused connection as an error.
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            return
        await asyncio.sleep(_POLL_S)


async def _answers(bootstrap: str, cluster_id: str) -> bool:
    client = AIOKafkaClient(
        bootstrap_servers=bootstrap,
        client_id="emostream-ready",
        request_timeout_ms=_REQUEST_TIMEOUT_MS,
    )
    try:
        await client.bootstrap()
        node = client.get_random_node()
        if node is None:
            return False
        metadata = await client.send(node, MetadataRequest([]))
        # Another broker may have been quicker to take the port.
        if metadata.cluster_id != cluster_id:
            return False
        await client.coordinator_lookup(_GROUP, _ANY_GROUP)
        producer = await client.send(node, InitProducerIdRequest(None, 0))
        if producer.error_code:
            raise for_code(producer.error_code)
    except (KafkaError, OSError, TimeoutError):
        return False
    else:
        return True
    finally:
        await client.close()
