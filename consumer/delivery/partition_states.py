"""How far each partition of this member is, for health, metrics and the end of a bounded run."""

from collections.abc import Mapping

from consumer.delivery.log_ends import LogEnds
from consumer.delivery.offsets import Ledger
from consumer.telemetry.state import Held, PartitionState
from runtime.kafka.protocol import KafkaConsumer, Partition


def partition_states(
    ledger: Ledger,
    consumer: KafkaConsumer,
    held: Mapping[Partition, Held],
    log_ends: LogEnds | None,
) -> list[PartitionState]:
    """Say how far each partition is; `held` says why some aren't fetched."""
    bad = consumer.bad_batches
    states = []
    for partition, tracker in sorted(ledger.held().items()):
        # Idle means that what lies before the consumer's position is settled or a marker.
        stands_at = consumer.position(partition) if tracker.idle else None
        end = consumer.high_water(partition)
        if log_ends is not None:
            end = log_ends.of(partition, end)
        states.append(
            PartitionState(
                topic=partition.topic,
                partition=partition.partition,
                commit_position=tracker.position if stands_at is None else stands_at,
                high_water=end,
                in_flight=tracker.in_flight,
                held=held.get(partition),
                bad_batch_at=bad[partition].offset if partition in bad else None,
            )
        )
    return states


def not_begun(ledger: Ledger, consumer: KafkaConsumer | None) -> tuple[str, ...]:
    """Name the partitions that the group gave this member and that aren't read yet."""
    if consumer is None:
        return ()
    waiting = consumer.assignment() - ledger.held().keys()
    return tuple(f"{one.topic}-{one.partition}" for one in sorted(waiting))
