"""What the service tells those who count: one method for each fact worth a metric."""

from collections.abc import Sequence
from typing import Literal, Protocol

from consumer.records import Record

BatchClosed = Literal["size", "bytes", "wait", "drain", "turn"]
"""What closed a batch: full by records, full by bytes, old enough, or the end of fetching."""
PauseReason = Literal["records", "bytes", "unavailable", "window", "bad_batch"]
"""See `consumer.telemetry.state`: `Paused` and `Held`."""
CommitFailure = Literal["fenced", "error"]
"""`fenced`: the partitions moved, their new owner does the work again. `error`: anything else."""


class Observer(Protocol):
    """Called on the event loop, inline: must be quick and must not raise."""

    def batch_closed(self, reason: BatchClosed, records: int, nbytes: int) -> None:
        """A batch closed and starts."""

    def batch_finished(self, records: int, seconds: float) -> None:
        """Everything of a batch is acknowledged by the broker, `seconds` after it closed."""

    def events_published(self, records: Sequence[Record], now: float) -> None:
        """The events of these records are acknowledged at `now` (wall clock, Unix seconds).

        The latency in this service is `now - record.received_at`, the whole one `now -
        record.timestamp_ms / 1000`.
        """

    def dead_letter(self, stage: str, class_name: str) -> None:
        """A dead letter is acknowledged."""

    def skipped(self, rule: str, records: int) -> None:
        """Records that are no posts are settled, by this rule."""

    def committed(self, partitions: int, records: int) -> None:
        """A commit succeeded; `records` more are settled than before it."""

    def commit_failed(self, kind: CommitFailure) -> None:
        """A commit was given up."""

    def transaction_committed(self, records: int, seconds: float) -> None:
        """A transaction that settles so many records was committed, so long after it began."""

    def transaction_aborted(self) -> None:
        """A transaction failed, and was or will be undone."""

    def transaction_fenced(self) -> None:
        """A partition has another owner by now, or the brokers ended its transaction."""

    def rebalanced(self, assigned: int) -> None:
        """The group gave this member `assigned` partitions."""

    def revoked(self, partitions: int, abandoned: int, seconds: float) -> None:
        """Partitions were let go; their new owner does `abandoned` records again."""

    def paused(self, reason: PauseReason) -> None:
        """Fetching paused, of all partitions or of one."""

    def resumed(self) -> None:
        """Fetching goes on."""

    def late_finish(self, records: int) -> None:
        """Records finished after their partition was lost: not committed here."""

    def consumer_restarted(self) -> None:
        """The watchdog replaced the Kafka consumer."""

    def bad_batch(self) -> None:
        """A partition stopped at a batch that can't be read; once for each try."""

    def taken_away(self, records: int) -> None:
        """Retention removed so many offsets before they were read."""

    def topic_created_again(self) -> None:
        """Partitions of a topic that was deleted and created again are read from their start."""

    def fuse_blown(self) -> None:
        """Nearly everything was poison: the service stops."""


class NullObserver:
    """Counts nothing."""

    def batch_closed(self, reason: BatchClosed, records: int, nbytes: int) -> None:
        """Ignore."""

    def batch_finished(self, records: int, seconds: float) -> None:
        """Ignore."""

    def events_published(self, records: Sequence[Record], now: float) -> None:
        """Ignore."""

    def dead_letter(self, stage: str, class_name: str) -> None:
        """Ignore."""

    def skipped(self, rule: str, records: int) -> None:
        """Ignore."""

    def committed(self, partitions: int, records: int) -> None:
        """Ignore."""

    def commit_failed(self, kind: CommitFailure) -> None:
        """Ignore."""

    def transaction_committed(self, records: int, seconds: float) -> None:
        """Ignore."""

    def transaction_aborted(self) -> None:
        """Ignore."""

    def transaction_fenced(self) -> None:
        """Ignore."""

    def rebalanced(self, assigned: int) -> None:
        """Ignore."""

    def revoked(self, partitions: int, abandoned: int, seconds: float) -> None:
        """Ignore."""

    def paused(self, reason: PauseReason) -> None:
        """Ignore."""

    def resumed(self) -> None:
        """Ignore."""

    def late_finish(self, records: int) -> None:
        """Ignore."""

    def consumer_restarted(self) -> None:
        """Ignore."""

    def bad_batch(self) -> None:
        """Ignore."""

    def taken_away(self, records: int) -> None:
        """Ignore."""

    def topic_created_again(self) -> None:
        """Ignore."""

    def fuse_blown(self) -> None:
        """Ignore."""
