"""Reading what a cluster's topics are like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from infra.kafka.events import BrokerEvent

_log = structlog.get_logger(__name__)


async def undelivered(admin: AIOKafkaAdminClient, names: Sequence[str]) -> list[str]:
    """Name the topics of which a partition has no leader now."""
    described = {t["topic"]: t for t in await admin.describe_topics(list(names))}
    return [name for name in names if not _led(described.get(name))]


def _led(topic: Mapping[str, object] | None) -> bool:
    if topic is None or topic["error_code"] != 0:
        return False
    partitions = topic["partitions"]
    assert isinstance(partitions, list)
    return bool(partitions) and all(p["leader"] >= 0 for p in partitions)


async def read_topics(
    admin: AIOKafkaAdminClient, names: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Read each topic's settings, `partitions` and `replication_factor` among them.

    A topic whose settings this client may not read gives only those two.
    """
    if not names:
        return {}
    found: dict[str, dict[str, str]] = {}
    for topic in await admin.describe_topics(list(names)):
        partitions = topic["partitions"]
        found[topic["topic"]] = {
            "partitions": str(len(partitions)),
            "replication_factor": str(len(partitions[0]["replicas"])),
        }
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    for response in await admin.describe_configs(resources):
        for code, reason, _, name, entries in response.resources:
            if code:
                why = reason or for_code(code).__name__
                _log.warning(BrokerEvent.TOPIC_UNREADABLE, topic=name, reason=why)
                continue
            found[name].update((entry[0], entry[1]) for entry in entries if entry[1] is not None)
    return found


def differing(wanted: Mapping[str, str], found: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Give the settings that differ, each with (wanted, found); unread ones are passed over."""
    return {
        key: (value, found[key])
        for key, value in wanted.items()
        if key in found and _normal(found[key]) != _normal(value)
    }


def _normal(value: str) -> object:
    # Lists come back in any order ("compact,delete"), numbers in any spelling ("0.1", "0.10").
    try:
        return float(value)
    except ValueError:
        return sorted(part.strip() for part in value.split(","))
