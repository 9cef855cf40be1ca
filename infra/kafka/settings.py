"""What one may choose about an embedded broker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra.kafka.errors import BrokerError

# Below this Kafka runs out of heap while it loads its own offsets topic.
_MIN_HEAP_MB = 96
_WILDCARDS = frozenset({"", "0.0.0.0", "::", "*"})  # noqa: S104 - refused, not bound


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """An embedded broker's settings; the defaults are what the demo and the tests use.

    Attributes:
        data_dir: the folder of records, log and properties, made where missing and kept;
            None: a temporary one, removed when the broker is stopped or its parent ends.
        host: the address listened on and told to clients; no wildcard. There is neither
            encryption nor a password: an address that others can reach lets everyone in.
        port: the clients' port; None: a free one, kept over restarts.
        heap_mb: Java's heap in MiB; with 256, 240 MiB are resident under 30,000 records/s.
        default_partitions: partitions of a topic created without a number.
        start_timeout_s: seconds from Java's start to the first answers.
        stop_timeout_s: seconds an orderly stop may take before Java is killed.
        cache_dir: where jars are kept; None: `EMOSTREAM_CACHE_DIR` or the user's cache folder.
        startup_archive: make (once, 12 to 20 s) and use an archive of Kafka's loaded classes,
            which more than halves a start: 5.0 to 2.3 s on two busy cores.
        properties: further lines of server.properties, which win over ours.

    Raises:
        BrokerError: a value that can't work, with the sentence that says what to change.
    """

    data_dir: Path | None = None
    host: str = "127.0.0.1"
    port: int | None = None
    heap_mb: int = 256
    default_partitions: int = 4
    start_timeout_s: float = 60.0
    stop_timeout_s: float = 20.0
    cache_dir: Path | None = None
    startup_archive: bool = True
    properties: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what can't work before anything is started."""
        if self.host in _WILDCARDS:
            raise BrokerError(
                f"host {self.host!r} can't be told to clients: name one address of this machine, "
                "such as 127.0.0.1",
            )
        if self.port is not None and not 1 <= self.port <= 65535:
            raise BrokerError(f"port {self.port} is outside 1..65535; leave it out for a free one")
        if self.heap_mb < _MIN_HEAP_MB:
            raise BrokerError(f"heap_mb {self.heap_mb} is too little for Kafka: {_MIN_HEAP_MB} up")
        if self.default_partitions < 1:
            raise BrokerError("default_partitions must be 1 or more")
        if self.start_timeout_s <= 0 or self.stop_timeout_s <= 0:
            raise BrokerError("start_timeout_s and stop_timeout_s are seconds above 0")
