"""Topics: what emostream's are like, and making them on any Kafka."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code

from infra.kafka._topic_state import differing, read_topics, undelivered
from infra.kafka.errors import TopicsError
from infra.kafka.events import BrokerEvent
from runtime.kafka import unclosed

_log = structlog.get_logger(__name__)
_DAY_MS = 24 * 60 * 60 * 1000
_MIB = 1024 * 1024
_POLL_S = 0.05
_COPIES = 3  # what survives the loss of one broker and still takes acknowledged writes
_EXISTS = 36  # TOPIC_ALREADY_EXISTS in Kafka's protocol
_REMEDIES: Mapping[int, str] = MappingProxyType(
    {
        17: "Kafka allows letters, digits, '.', '_' and '-' in a name, 249 of them at most",
        29: "ask the cluster's owner for the CREATE right on it, or to make it for you",
        31: "ask the cluster's owner for the CREATE right, or to make the topic for you",
        37: "ask for one partition or more, and for no more than the cluster's policy allows",
        38: "the cluster has fewer brokers than the replication factor asks for: lower it",
        40: "this Kafka refuses one of its settings",
        44: "the cluster's policy refuses it",
    },
)


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it should be.

    Attributes:
        name: its name.
        partitions: how many; more than consumers will ever be, for it can only grow.
        replication_factor: copies of each partition; None: three, or as many as there are brokers.
        config: Kafka's topic settings that matter to us; the others stay the cluster's.
    """

    name: str
    partitions: int = 4
    replication_factor: int | None = None
    config: Mapping[str, str] = field(default_factory=dict)


class TopicStatus(StrEnum):
    """How a topic was found."""

    CREATED = "created"
    """It wasn't there, and is now."""

    EXISTED = "existed"
    """It was there, as specified."""

    DIFFERS = "differs"
    """It was there with other settings, and was left as it is."""


@dataclass(frozen=True, slots=True)
class TopicResult:
    """What `create_topics` found or did.

    Attributes:
        name: the topic.
        status: created, existed or differs.
        differences: setting to (wanted, found) where it differs; `partitions` and
            `replication_factor` count as settings.
    """

    name: str
    status: TopicStatus
    differences: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def __str__(self) -> str:
        """Read as a line for a person."""
        what = ", ".join(
            f"{k} is {found}, not {wanted}" for k, (wanted, found) in self.differences.items()
        )
        return f"{self.name}: {self.status}" + (f": {what}" if what else "")


@dataclass(frozen=True, slots=True)
class TopicNames:
    """The names of emostream's topics."""

    posts: str = "posts"
    events: str = "affect.events"
    dead_letters: str = "affect.dlq"
    windows: str = "affect.windows"
    alerts: str = "affect.alerts"
    mutes: str = "affect.mutes"
    baselines: str = "affect.baselines"


def default_topics(
    names: TopicNames | None = None,
    *,
    partitions: int = 4,
    replication_factor: int | None = None,
) -> tuple[TopicSpec, ...]:
    """Specify emostream's seven topics; `partitions` of those that carry every post.

    Compression is the producers' business everywhere (`producer`: stored as sent, never
    recompressed by the broker).
    """
    names = names or TopicNames()
    stored_as_sent = {"compression.type": "producer"}

    def spec(name: str, count: int, **config: object) -> TopicSpec:
        dotted = {key.replace("_", "."): str(value) for key, value in config.items()}
        return TopicSpec(name, count, replication_factor, {**stored_as_sent, **dotted})

    return (
        # A week to catch up after an outage. 4 MiB: a post is a few hundred bytes, but what isn't
        # a post must arrive to become a dead letter, instead of failing at somebody's producer.
        spec(names.posts, partitions, retention_ms=7 * _DAY_MS, max_message_bytes=4 * _MIB),
        # The product: a month, so that windows can be made from it again.
        spec(names.events, partitions, retention_ms=30 * _DAY_MS, max_message_bytes=4 * _MIB),
        # Twice the posts' size: a dead letter is the post's bytes plus headers that say why, and
        # may be compressed less well. A month, counted from the death and not from the post's
        # own time, so that people can look and replay. One partition would keep their order
        # across topics, but a bad deploy makes as many of them as there are posts.
        spec(
            names.dead_letters,
            partitions,
            retention_ms=30 * _DAY_MS,
            max_message_bytes=8 * _MIB,
            message_timestamp_type="LogAppendTime",
        ),
        # The latest state of each window: compacted, and windows of last month removed, for their
        # keys never come again. Compacted hourly from a tenth of news on: a dashboard that starts
        # reads it whole.
        spec(
            names.windows,
            1,
            cleanup_policy="compact,delete",
            retention_ms=30 * _DAY_MS,
            segment_ms=60 * 60 * 1000,
            min_cleanable_dirty_ratio="0.1",
        ),
        # Few, in order, and worth a look back over a season. One partition, for the order, and
        # because its one member of the group is the active monitor.
        spec(names.alerts, 1, retention_ms=90 * _DAY_MS),
        # One record a track: who muted it until when, and what the monitor has learnt of it.
        spec(names.mutes, 1, cleanup_policy="compact"),
        spec(
            names.baselines,
            1,
            cleanup_policy="compact",
            segment_ms=24 * 60 * 60 * 1000,
            max_message_bytes=4 * _MIB,
        ),
    )


async def create_topics(
    client_options: Mapping[str, Any],
    specs: Sequence[TopicSpec],
    *,
    timeout_s: float = 30.0,
) -> list[TopicResult]:
    """Make the topics that aren't there, and return when all can be used; in `specs`' order.

    Repeating it changes nothing. A topic that exists is never changed: what differs is told.
    `client_options` are aiokafka's: `bootstrap_servers`, `security_protocol`, `ssl_context`,
    `sasl_mechanism` and so on.

    Raises:
        TopicsError: a topic was refused, or has no leader after `timeout_s` seconds, or there is
            no broker that could have it; says which and what to do. The others are made.
        aiokafka.errors.KafkaConnectionError: no broker answers.
    """
    if not specs:
        return []
    deadline = time.monotonic() + timeout_s
    unclosed.install()
    admin = AIOKafkaAdminClient(**client_options)
    try:
        await admin.start()
        brokers = await _await_brokers(admin, [spec.name for spec in specs], deadline)
        created = await _create(admin, specs, brokers, timeout_s)
        await _await_leaders(admin, [spec.name for spec in specs], deadline)
        fresh = [
            TopicPartition(s.name, n)
            for s in specs
            if s.name in created
            for n in range(s.partitions)
        ]
        await _await_replicas(client_options, fresh, deadline)
        existing = [spec for spec in specs if spec.name not in created]
        found = await read_topics(admin, [spec.name for spec in existing])
    finally:
        await admin.close()
    return [_result(spec, spec.name in created, found) for spec in specs]


def _result(spec: TopicSpec, created: bool, found: Mapping[str, Mapping[str, str]]) -> TopicResult:
    if created:
        _log.info(BrokerEvent.TOPIC_CREATED, topic=spec.name, partitions=spec.partitions)
        return TopicResult(spec.name, TopicStatus.CREATED)
    wanted = {"partitions": str(spec.partitions), **spec.config}
    if spec.replication_factor is not None:
        wanted["replication_factor"] = str(spec.replication_factor)
    differences = differing(wanted, found[spec.name])
    if not differences:
        return TopicResult(spec.name, TopicStatus.EXISTED)
    _log.warning(BrokerEvent.TOPIC_DIFFERS, topic=spec.name, differences=differences)
    return TopicResult(spec.name, TopicStatus.DIFFERS, differences)


async def _await_brokers(admin: AIOKafkaAdminClient, names: Sequence[str], deadline: float) -> int:
    """Return how many brokers there are, as soon as there is one.

    A broker that has just started, or was away until its lease ran out, answers before it is part
    of its own cluster: with no broker at all. aiokafka then knows none to ask anything else.
    """
    client = admin._client  # noqa: SLF001 - no public way
    while True:
        if not client.cluster.brokers():
            await client.force_metadata_update()
        if client.cluster.brokers():
            brokers = len((await admin.describe_cluster())["brokers"])
            if brokers:
                return brokers
        if time.monotonic() > deadline:
            raise TopicsError(
                dict.fromkeys(names, "the cluster's metadata name no broker: are all up?")
            )
        await asyncio.sleep(_POLL_S)


async def _create(
    admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec], brokers: int, timeout_s: float
) -> set[str]:
    # Asking for the cluster's own default (-1) takes a newer request than aiokafka's.
    copies = min(_COPIES, brokers)
    asked = [
        NewTopic(s.name, s.partitions, s.replication_factor or copies, topic_configs=dict(s.config))
        for s in specs
    ]
    response = await admin.create_topics(asked, timeout_ms=int(timeout_s * 1000))
    codes = {name: (code, *more) for name, code, *more in response.topic_errors}
    created = {name for name, (code, *_) in codes.items() if code == 0}
    refused = {
        name: _explain(code, more[0] if more else None)
        for name, (code, *more) in codes.items()
        if code not in (0, _EXISTS)
    }
    if refused:
        raise TopicsError(refused)
    return created


def _explain(code: int, message: str | None) -> str:
    error: type[KafkaError] = for_code(code)
    remedy = _REMEDIES.get(code)
    why = message or getattr(error, "description", "") or "no reason given"
    return f"{error.__name__}: {why}" + (f" ({remedy})" if remedy else "")


async def _await_leaders(admin: AIOKafkaAdminClient, names: Sequence[str], deadline: float) -> None:
    while missing := await undelivered(admin, names):
        if time.monotonic() > deadline:
            raise TopicsError(
                dict.fromkeys(missing, "a partition has no leader: are all brokers up?"),
            )
        await asyncio.sleep(_POLL_S)


async def _await_replicas(
    client_options: Mapping[str, Any], partitions: Sequence[TopicPartition], deadline: float
) -> None:
    """Return when each leader answers for its partition.

    A leader is named in the metadata a moment before it takes office: until then it answers
    "not leader", and every first producer would log a retry.
    """
    if not partitions:
        return
    consumer = AIOKafkaConsumer(**client_options)
    try:
        async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
            await consumer.start()
            await consumer.end_offsets(partitions)
    except (KafkaError, TimeoutError) as error:
        names = {partition.topic for partition in partitions}
        raise TopicsError(
            dict.fromkeys(names, f"made, but its leaders don't answer: {error!r}")
        ) from error
    finally:
        await consumer.stop()
