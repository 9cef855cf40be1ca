"""One bad record doesn't fail its batch: it is found by halving."""

import traceback
from collections.abc import Sequence

import structlog

from consumer.dead_letters import Reason, Stage, make_dead_letter
from consumer.processor import Done, RecordProcessor
from consumer.records import Outcome, Record
from consumer.telemetry import log_events
from emollm.errors import Retry, Stop
from runtime.clock import Clock, sleep
from runtime.errors import ServiceError

_log = structlog.get_logger("consumer")

_BACK_OFF_S = 1.0
"""Between two tries when the analysis lets a server's trouble through: its breakers' pace."""


class _MissingOutcomes(Exception):  # noqa: N818 - what is wrong
    """The analysis returned before each record had its outcome."""


class Isolation:
    """One batch on its way to its outcomes, whatever the analysis raises.

    A record for which the analysis raised twice, the second time alone, becomes a dead letter of
    class `Bug`. What is a server's trouble is tried again without end: nothing is refused for
    being unlucky.
    """

    def __init__(
        self,
        processor: RecordProcessor,
        records: Sequence[Record],
        done: Done,
        clock: Clock,
        *,
        turn: int,
    ) -> None:
        self._processor = processor
        self._turn = turn
        self._done = done
        self._clock = clock
        self._left = {(record.epoch, record.offset): record for record in records}

    @property
    def left(self) -> tuple[Record, ...]:
        """Records that have no outcome yet."""
        return tuple(self._left.values())

    async def run(self) -> None:
        """Return when each record had exactly one outcome.

        Raises:
            Stop, ServiceError: of the analysis; they end the service.
        """
        try:
            await self._try(self.left)
        except (Stop, ServiceError):
            raise
        except Exception as error:  # noqa: BLE001 - a bug of the analysis is not the batch's end
            _log.warning(
                log_events.BATCH_FAILED,
                records=len(self._left),
                error=type(error).__name__,
                where=_where(error),
            )
            await self._halve(self.left)

    async def _halve(self, records: Sequence[Record]) -> None:
        if not records:
            return
        if len(records) == 1:
            await self._alone(records[0])
            return
        middle = len(records) // 2
        for half in (records[:middle], records[middle:]):
            if len(half) == 1:
                await self._alone(half[0])
                continue
            try:
                await self._try(half)
            except (Stop, ServiceError):
                raise
            except Exception:  # noqa: BLE001
                await self._halve(self._without_outcome(half))

    async def _alone(self, record: Record) -> None:
        try:
            await self._try((record,))
        except (Stop, ServiceError):
            raise
        except Exception as error:  # noqa: BLE001
            # Never the message of an error that nobody foresaw: it may quote the post.
            name = type(error).__name__
            message = f"the analysis raised {name} at {_where(error)}; this is a bug"
            self._finish(
                record,
                make_dead_letter(
                    record,
                    Stage.INFER,
                    Reason.BUG,
                    message,
                    attempts=2,
                    model=self._processor.model,
                ),
            )

    async def _try(self, records: Sequence[Record]) -> None:
        while left := self._without_outcome(records):
            try:
                await self._processor.process(left, self._finish, turn=self._turn)
            except Retry as error:
                _log.warning(
                    log_events.ANALYSIS_DELAYED, records=len(left), error=type(error).__name__
                )
                await sleep(self._clock, _BACK_OFF_S)
                await self._processor.wait_available()
                continue
            if missing := self._without_outcome(records):
                raise _MissingOutcomes(f"{len(missing)} records without an outcome")

    def _finish(self, record: Record, outcome: Outcome) -> None:
        """Pass a first outcome on; a second one for the same record would be published twice."""
        if self._left.pop((record.epoch, record.offset), None) is not None:
            self._done(record, outcome)

    def _without_outcome(self, records: Sequence[Record]) -> tuple[Record, ...]:
        return tuple(one for one in records if (one.epoch, one.offset) in self._left)


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    return f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else "?"
