"""What the service asks of the analysis: records in, outcomes out."""

from collections.abc import Sequence
from typing import Protocol

from consumer.records import Outcome, Record


class RecordProcessor(Protocol):
    """Everything between a batch and its outcomes: decode, plan, infer, read."""

    @property
    def available(self) -> bool:
        """Whether a model server takes prompts now. While False, the service pauses fetching."""

    async def wait_available(self) -> None:
        """Return as soon as `available` is True; at once if it is already."""

    async def process(self, records: Sequence[Record]) -> list[Outcome]:
        """Give each record its one outcome: same order, same length.

        What is wrong with one record is that record's `DeadLetter`, never an exception. While no
        model server takes prompts this waits: no record is refused for being unlucky.

        Called for several batches at a time, on one event loop, and again for the same records
        when an earlier call raised. May be cancelled at any await: it then stops its prompts,
        and what it hadn't returned stays uncommitted.

        Raises:
            emollm.errors.Stop: no record can be analysed until a human acts; ends the service.
            Exception: anything else is a bug; the service then finds the culprits by halving
                the batch, and only they become dead letters.
        """
