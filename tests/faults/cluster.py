"""The real broker of a run: a listener behind a proxy for each consumer, and the topics."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, NodeNotReadyError

from infra.kafka import (
    BrokerSettings,
    EmbeddedKafka,
    TopicNames,
    TopicSpec,
    create_topics,
    default_topics,
)
from producer import Broker
from runtime.kafka.topic_log import kafka_topic_log
from tests.faults.ports import HOST, Ports
from tests.faults.proxy import Proxy

NAMES = TopicNames(
    posts="faults.posts",
    events="faults.events",
    dead_letters="faults.dlq",
    windows="faults.windows",
    alerts="faults.alerts",
)
REMADE = "faults.remade"
"""A second input topic, which is deleted and created again."""
GROUP = "faults"
CLUSTER_ID = "faults"
"""As it is configured: part of every event's id."""
_KNOWN_S = 30.0
"""For the broker to be a part of its own cluster again, after its lease has run out."""


class Cluster:
    """One embedded broker and its proxies."""

    def __init__(self, folder: Path, ports: Ports, *, proxies: int, partitions: int) -> None:
        self.partitions = partitions
        clients, controller = ports.take(), ports.take()
        self.proxies = [Proxy(ports.take(), ports.take()) for _ in range(proxies)]
        inside = {f"MEMBER{n}": proxy._to_port for n, proxy in enumerate(self.proxies)}
        outside = {f"MEMBER{n}": proxy.port for n, proxy in enumerate(self.proxies)}
        own = {"PLAINTEXT": clients}
        kinds = (*own, *inside, "CONTROLLER")
        self.kafka = EmbeddedKafka(
            BrokerSettings(
                data_dir=folder,
                port=clients,
                properties={
                    "listeners": _listeners({**own, **inside, "CONTROLLER": controller}),
                    "advertised.listeners": _listeners({**own, **outside}),
                    "listener.security.protocol.map": ",".join(f"{k}:PLAINTEXT" for k in kinds),
                    "controller.quorum.voters": f"1@{HOST}:{controller}",
                },
            )
        )
        self.bootstrap = f"{HOST}:{clients}"

    async def start(self) -> None:
        await self.kafka.start()
        for proxy in self.proxies:
            await proxy.start()
        await self.make_topics()

    async def stop(self) -> None:
        for proxy in self.proxies:
            await proxy.stop()
        await self.kafka.stop()

    async def make_topics(self) -> None:
        """Make what isn't there. The broker stamps outputs with its own clock, as it does commits.

        So that a commit can be held against the outputs that were written when it was made.
        """
        stamped = {NAMES.events, NAMES.dead_letters}
        specs = [
            replace(spec, config={**spec.config, "message.timestamp.type": "LogAppendTime"})
            if spec.name in stamped
            else spec
            for spec in default_topics(NAMES, partitions=self.partitions, replication_factor=1)
        ]
        await create_topics(
            {"bootstrap_servers": self.bootstrap}, [*specs, TopicSpec(REMADE, 1, 1)]
        )

    async def limit(self, topic: str, max_message_bytes: int) -> None:
        """Let a topic refuse what is larger."""
        async with self._admin() as admin:
            config = {"max.message.bytes": str(max_message_bytes)}
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, config)])

    async def delete(self, topic: str) -> None:
        """Delete a topic, and return when it is gone."""
        async with self._admin() as admin:
            await admin.delete_topics([topic])
            while topic in await admin.list_topics():  # noqa: ASYNC110 - the broker's state
                await asyncio.sleep(0.1)

    async def reachable(self, within_s: float) -> None:
        """Return once the broker answers: after a fault of its own that may take some seconds.

        Raises:
            TimeoutError: it never did.
        """
        async with asyncio.timeout(within_s):
            while True:
                with suppress(KafkaError, OSError):
                    async with self._admin() as admin:
                        await admin.list_topics()
                        return
                await asyncio.sleep(0.5)  # the broker's state

    async def topic_id(self, topic: str) -> str:
        """The id of a topic: each of one name has its own."""
        async with kafka_topic_log(topic, Broker(bootstrap=self.bootstrap)) as log:
            return await log.topic_id()

    async def committed(self) -> dict[tuple[str, int], int]:
        """The group's offsets by topic and partition; empty while the broker doesn't say."""
        with suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(5), self._admin() as admin:
                offsets = await admin.list_consumer_group_offsets(GROUP)
                return {
                    (where.topic, where.partition): max(0, int(one.offset))
                    for where, one in offsets.items()
                }
        return {}

    async def past(self, ends: Mapping[tuple[str, int], int], within_s: float) -> bool:
        """Wait until the group has committed these offsets.

        False: it committed nothing more for `within_s` seconds. How long all of it takes is the
        machine's matter.
        """
        most, moved_at = 0, time.monotonic()
        while time.monotonic() - moved_at < within_s:
            committed = await self.committed()
            if all(committed.get(where, 0) >= end for where, end in ends.items()):
                return True
            total = sum(committed.values())
            if total > most:
                most, moved_at = total, time.monotonic()
            await asyncio.sleep(0.5)  # the broker's state: nothing tells of a commit
        return False

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        """A client that knows a broker: one that a busy machine starved is left out for a while."""
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(_KNOWN_S):
                while True:
                    admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
                    stack.push_async_callback(admin.close)
                    await admin.start()
                    if await _knows_a_broker(admin):
                        break
                    await asyncio.sleep(0.5)  # the broker's state
            yield admin


async def _knows_a_broker(admin: AIOKafkaAdminClient) -> bool:
    try:
        await admin.describe_cluster()
    except NodeNotReadyError:
        return False
    return True


def _listeners(ports: dict[str, int]) -> str:
    return ",".join(f"{name}://{HOST}:{port}" for name, port in ports.items())
