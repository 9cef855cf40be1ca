"""Where Kafka is and how a group member reads it, plain: the settings fill it.

Units are in the names: seconds (`_s`), bytes, records. Every default says why it is that number.
"""

import re
from typing import Any, Literal

import msgspec

Compression = Literal["none", "gzip", "lz4", "zstd"]
Guarantee = Literal["at-least-once", "exactly-once"]

TRANSACTION_TIMEOUT_S = 60.0
"""Java's default. A transaction takes milliseconds; one that its producer left open holds readers
up for so long, unless the partition's next owner aborts it before."""

REBALANCE_TIMEOUT_S = 60.0
"""Both drain budgets of the consumer (20 s) and its commit fit into it."""

FETCH_WAIT_S = 0.1
"""For records. The broker answers at once when there are some: this bounds only the idle wait."""

_FLAGS = re.compile(r"(?:\(\?[aiLmsux]+\))*")


def whole_names(pattern: str) -> re.Pattern[str]:
    """Compile a pattern to one that matches whole names alone, also with `match`, as aiokafka does.

    Raises:
        re.error: it is no regular expression.
    """
    re.compile(pattern)
    flags = _FLAGS.match(pattern)
    assert flags is not None
    # Flags such as (?i) have to stay in front; with (?x) a comment may go to the line's end.
    line = "\n" if "x" in flags[0] else ""
    return re.compile(rf"{flags[0]}(?:{pattern[flags.end() :]}{line})\Z")


class KafkaOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where posts come from and events go, and how the brokers are reached."""

    bootstrap: str
    """`host:port`, several with commas."""
    group_id: str
    input_topics: tuple[str, ...] = ()
    input_pattern: str | None = None
    """Regular expression on whole topic names, instead of `input_topics`."""
    output_topic: str = "affect.events"
    dlq_topic: str = "affect.dlq"
    security: dict[str, Any] = msgspec.field(default_factory=dict)
    """aiokafka's keyword arguments for TLS and SASL, for consumer and producer alike
    (`security_protocol`, `ssl_context`, `sasl_…`). Never logged."""
    client_id: str = "emostream"
    group_instance_id: str | None = None
    """Static membership: a restart within the session timeout moves no partitions."""
    auto_offset_reset: Literal["earliest", "latest", "none"] = "earliest"
    session_timeout_s: float = 10.0
    """How soon a member that died is missed. aiokafka's default, and within any broker's limits."""
    heartbeat_interval_s: float = 3.0
    rebalance_timeout_s: float = REBALANCE_TIMEOUT_S
    """How long members may take to let go: above both drain budgets, or drained work is refused."""
    max_poll_interval_s: float = 300.0
    request_timeout_s: float = 40.0
    metadata_max_age_s: float = 30.0
    """How soon new partitions, new topics of a pattern, and a topic that is created again are
    found: within a minute, with the 20 s in which topics' ids are looked at."""
    compression: Compression = "lz4"
    max_request_bytes: int = 1_048_576
    """An event larger than this becomes a dead letter; brokers' own default limit."""
    guarantee: Guarantee = "at-least-once"
    """Exactly-once publishes events, dead letters and offsets in Kafka transactions."""
    transactional_id_prefix: str = ""
    """Empty takes `group_id`. Members of one group have the same one, groups different ones."""
    transaction_timeout_s: float = TRANSACTION_TIMEOUT_S

    def transactional_id(self, topic: str, partition: int) -> str:
        """Of the producer that writes what comes of this input partition, whoever owns it.

        No two groups, topics or partitions share one: a topic's name holds no `/`.
        """
        return f"{self.transactional_id_prefix or self.group_id}/{topic}/{partition}"

    @property
    def check_id(self) -> str:
        """A transactional id that nobody writes with: to see whether transactions are possible."""
        return f"{self.transactional_id_prefix or self.group_id}/check"

    def __repr__(self) -> str:
        """All but `security`, which holds passwords."""
        names = (name for name in self.__struct_fields__ if name != "security")
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"KafkaOptions({shown}, security=…)"
