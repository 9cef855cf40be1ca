"""What can go wrong with the embedded broker and with topics.

The tree::

    KafkaInfraError
    ├── BrokerError               the embedded broker can't do what was asked
    │   ├── BrokerDownloadError   a jar could not be fetched
    │   ├── BrokerIntegrityError  a jar isn't the one that the lock file names
    │   └── BrokerStartError      Java ended, or never answered; carries the log's tail
    └── TopicsError               one or more topics could not be made or never got a leader
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


class KafkaInfraError(Exception):
    """Base of all errors raised by `infra.kafka`; the message says what to do about it."""


class BrokerError(KafkaInfraError):
    """The embedded broker can't do what was asked."""


class BrokerDownloadError(BrokerError):
    """A jar could not be fetched; nothing half-fetched stays in the cache."""


class BrokerIntegrityError(BrokerError):
    """A jar's size or SHA-256 isn't the lock file's: it is refused, never started."""


class BrokerStartError(BrokerError):
    """The broker ended or didn't answer in time.

    Attributes:
        log_path: the kept copy of Kafka's log.
        log_tail: its decisive lines: the first error, then the last lines.
    """

    def __init__(self, reason: str, *, log_path: Path, log_tail: str) -> None:
        """Name the reason, and quote the log."""
        super().__init__(f"{reason}\nKafka's log ({log_path}) says:\n{log_tail}")
        self.log_path = log_path
        self.log_tail = log_tail


class TopicsError(KafkaInfraError):
    """Some topics could not be made or used.

    Attributes:
        reasons: topic name to the sentence that says what happened and what to do.
    """

    def __init__(self, reasons: Mapping[str, str]) -> None:
        """List the topics with their reasons."""
        super().__init__("; ".join(f"{name}: {why}" for name, why in reasons.items()))
        self.reasons = dict(reasons)
