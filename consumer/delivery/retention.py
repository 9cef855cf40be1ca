"""Logs that no longer hold the group's offsets: retention went past them, or an end was lost."""

from collections.abc import Iterable

import structlog

from consumer.telemetry import log_events
from consumer.telemetry.observer import Observer
from runtime.kafka.errors import KafkaFault
from runtime.kafka.protocol import KafkaConsumer, Partition

_log = structlog.get_logger("consumer")

_WITHIN_S = 10.0


async def taken_away_before(
    consumer: KafkaConsumer, partitions: Iterable[Partition], observer: Observer
) -> None:
    """Count and log what lay between the group's committed offsets and the logs' starts.

    Tells it for each assignment in which reading begins behind a committed offset, and where a log
    ends before one. What goes while this member reads, the poller tells.
    """
    partitions = frozenset(partitions)
    try:
        committed = await consumer.committed(partitions, timeout_s=_WITHIN_S)
        starts = await consumer.beginning_offsets(committed, timeout_s=_WITHIN_S)
        ends = await consumer.end_offsets(committed, timeout_s=_WITHIN_S)
    except KafkaFault:
        return  # brokers that don't answer are another trouble
    for partition, start in sorted(starts.items()):
        if (lost := start - committed[partition].offset) > 0:
            _log.error(
                log_events.RECORDS_TAKEN_AWAY,
                partition=f"{partition.topic}-{partition.partition}",
                records=lost,
            )
            observer.taken_away(lost)
    for partition, end in sorted(ends.items()):
        if (before := committed[partition].offset) > end:
            _log.warning(
                log_events.LOG_WENT_BACK,
                partition=f"{partition.topic}-{partition.partition}",
                from_offset=before,
                to_offset=end,
                advice=log_events.LOG_WENT_BACK_ADVICE,
            )
