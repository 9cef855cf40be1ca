"""What the service asks of the analysis: records in, outcomes out."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from consumer.records import Outcome, Record

Done: TypeAlias = Callable[[Record, Outcome], None]
"""Called once for each record, as soon as its outcome is known. Quick, never raises."""


class RecordProcessor(Protocol):
    """Everything between a batch and its outcomes: decode, plan, infer, read."""

    @property
    def available(self) -> bool:
        """Whether a model server takes prompts now. While False, the service pauses fetching."""

    @property
    def model(self) -> str | None:
        """The model's id, which dead letters name; None before it is known."""

    async def wait_available(self) -> None:
        """Return as soon as `available` is True; at once if it is already."""

    async def process(self, records: Sequence[Record], done: Done, *, turn: int = 0) -> None:
        """Give each record its one outcome: call `done` with it as soon as it is known.

        The outcome is published and its offset settled at once, in any order: a record whose
        answer takes long keeps no other one waiting. Returns when every record has its outcome.

        What is wrong with one record is that record's `DeadLetter`, never an exception. While no
        model server takes prompts this waits: no record is refused for being unlucky.

        Of several batches the one with the lowest `turn` is served first; of one turn, the one
        that came first.

        Called for several batches at a time, on one event loop, and again for those records that
        had no outcome when an earlier call raised. May be cancelled at any await: it then stops
        its prompts, and records without an outcome stay uncommitted.

        Raises:
            emollm.errors.Stop: no record can be analysed until a human acts; ends the service.
            runtime.errors.ServiceError: the analysis can't go on; ends the service.
            Exception: anything else is a bug. The service finds the records that cause it by
                halving the batch, and only they become dead letters.
        """
