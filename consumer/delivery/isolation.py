"""One bad record doesn't fail its batch: the culprit is found by halving."""

import traceback
from collections.abc import Sequence

import structlog

from consumer.dead_letters import Reason, Stage, make_dead_letter
from consumer.processor import RecordProcessor
from consumer.records import Outcome, Record
from consumer.telemetry import log_events
from emollm.errors import Retry, Stop
from runtime.clock import Clock, sleep

_log = structlog.get_logger("consumer")

_BACK_OFF_S = 1.0
"""Between two tries when the analysis lets a server's trouble through: its breakers' pace."""


async def process(
    processor: RecordProcessor, records: Sequence[Record], clock: Clock
) -> list[Outcome]:
    """Give each record its outcome, whatever the analysis raises, `Stop` excepted.

    A record for which the analysis raised twice, the second time alone, becomes a dead letter of
    stage `infer`. What is a server's trouble is tried again for ever: nothing is refused for
    being unlucky.
    """
    try:
        return await _whole(processor, records, clock)
    except Stop:
        raise
    except Exception as error:  # noqa: BLE001 - a bug of the analysis is not the batch's end
        where = _where(error)
        _log.warning(
            log_events.BATCH_FAILED, records=len(records), error=type(error).__name__, where=where
        )
        return await _halved(processor, records, clock)


async def _halved(
    processor: RecordProcessor, records: Sequence[Record], clock: Clock
) -> list[Outcome]:
    if len(records) == 1:
        return [await _alone(processor, records[0], clock)]
    outcomes: list[Outcome] = []
    middle = len(records) // 2
    for half in (records[:middle], records[middle:]):
        try:
            outcomes += await _whole(processor, half, clock)
        except Stop:
            raise
        except Exception:  # noqa: BLE001
            outcomes += await _halved(processor, half, clock)
    return outcomes


async def _alone(processor: RecordProcessor, record: Record, clock: Clock) -> Outcome:
    try:
        return (await _whole(processor, (record,), clock))[0]
    except Stop:
        raise
    except Exception as error:  # noqa: BLE001
        # Never the message of an error that nobody foresaw: it may quote the post.
        return make_dead_letter(
            record,
            Stage.INFER,
            Reason.BUG,
            f"the analysis raised {type(error).__name__} at {_where(error)}; this is a bug",
            attempts=2,
        )


async def _whole(
    processor: RecordProcessor, records: Sequence[Record], clock: Clock
) -> list[Outcome]:
    while True:
        try:
            outcomes = await processor.process(records)
        except Retry as error:
            _log.warning(
                log_events.ANALYSIS_DELAYED, records=len(records), error=type(error).__name__
            )
            await sleep(clock, _BACK_OFF_S)
            await processor.wait_available()
            continue
        if len(outcomes) != len(records):
            raise ValueError(f"{len(outcomes)} outcomes for {len(records)} records")
        return outcomes


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    return f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else "?"
