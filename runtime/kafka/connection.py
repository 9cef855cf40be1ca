"""Where Kafka is, for clients that join no group."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runtime.kafka.diagnosis import diagnose
from runtime.kafka.errors import Unreachable

if TYPE_CHECKING:
    from runtime.registry.values import ValueReader


@dataclass(frozen=True, kw_only=True)
class Broker:
    """Where Kafka is, and how to get in."""

    bootstrap: str = "127.0.0.1:9092"
    """`host:port`, several separated by commas."""
    security: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """aiokafka's own arguments: `security_protocol`, `sasl_…`, `ssl_context`. Never printed."""
    values: "ValueReader | None" = field(default=None, repr=False)
    """Reads what a schema registry frames, of some topics; None: values are as they are."""


async def unreachable(broker: Broker, error: Exception) -> Unreachable:
    """Say why no broker lets us in, and what to change."""
    found = await diagnose(broker.bootstrap, broker.security)
    if found is not None:
        return Unreachable(f"no connection to Kafka: {found.words}")
    advice = "are kafka.tls and kafka.sasl right? see: emostream doctor"
    return Unreachable(f"no Kafka broker at {broker.bootstrap} ({type(error).__name__}); {advice}")
