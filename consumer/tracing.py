"""What the consumer tells of a batch to whoever records traces: one protocol for all rooms.

Where tracing is off there is no object of this kind at all, and nothing is called.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Final, Protocol

from consumer.records import Record
from emollm.protocol import PromptTrace
from schemas.headers import EventHeaders


class SendTrace(Protocol):
    """Some outcomes of one batch on their way to their topic."""

    def headers(self, record: Record) -> EventHeaders:
        """The trace context that this record's event or dead letter carries."""

    def end(self, error: str | None) -> None:
        """They are acknowledged, or `error` says by its class why not all are."""


class BatchTrace(Protocol):
    """One batch, from its start until everything of it is acknowledged or given up."""

    @property
    def unrecorded(self) -> EventHeaders | None:
        """What its events and dead letters carry where nothing of it is recorded; else None."""

    def of(self, record: Record) -> PromptTrace | None:
        """What records the requests for this record; None where they aren't recorded."""

    def send(self, records: Sequence[Record], *, dead_letters: bool) -> SendTrace:
        """These have an outcome that is being published."""

    def skipped(self, records: int) -> None:
        """So many of it were no posts."""

    def end(self, error: str | None = None) -> None:
        """It is over; `error` says by its class why not all of it is settled. Once is enough."""


class Tracing(Protocol):
    """Records batches. Called on the event loop: quick, never waits, never raises."""

    def batch(self, records: Sequence[Record]) -> BatchTrace:
        """A batch starts."""


current_batch: Final[ContextVar[BatchTrace | None]] = ContextVar("current_batch", default=None)
"""The batch that the running task works on, for those who are handed its records alone."""
