"""The log events of `infra.kafka`: names are an interface, each with its meaning."""

from __future__ import annotations

from enum import StrEnum


class BrokerEvent(StrEnum):
    """One fact each, logged with key-values through structlog."""

    JARS_DOWNLOADING = "kafka.jars.downloading"
    """Jars missing from the cache are being fetched: `missing`, `bytes`."""

    JARS_DOWNLOADED = "kafka.jars.downloaded"
    """All jars are in the cache and verified: `seconds`."""

    ARCHIVE_MAKING = "kafka.archive.making"
    """The start-up archive is being made, once per cache; it halves every later start."""

    ARCHIVE_MADE = "kafka.archive.made"
    """The start-up archive is in the cache: `seconds`, `bytes`."""

    ARCHIVE_REFUSED = "kafka.archive.refused"
    """The start-up archive was damaged and is thrown away: starts are slower, nothing else."""

    ARCHIVE_FAILED = "kafka.archive.failed"
    """The start-up archive could not be made: starts are slower, nothing else: `reason`."""

    FORMATTED = "kafka.broker.formatted"
    """A new data folder got its cluster id: `data_dir`."""

    PORT_TAKEN = "kafka.broker.port_taken"
    """Another program was quicker to take a chosen port; others are tried: `attempt`."""

    READY = "kafka.broker.ready"
    """The broker answers clients: `bootstrap`, `pid`, `seconds` since the start was asked."""

    KILLED = "kafka.broker.killed"
    """The broker was killed with SIGKILL because a caller asked for it."""

    STOPPED = "kafka.broker.stopped"
    """The broker ended because a caller asked for it: `seconds`."""

    DIED = "kafka.broker.died"
    """The broker ended although nobody asked for it: `code`, `log`."""

    TOPIC_CREATED = "kafka.topic.created"
    """A topic was made and has leaders: `topic`, `partitions`."""

    TOPIC_DIFFERS = "kafka.topic.differs"
    """A topic existed with other settings; it is left as it is: `topic`, `differences`."""

    TOPIC_UNREADABLE = "kafka.topic.unreadable"
    """A topic existed and this client may not read its settings: `topic`, `reason`."""
