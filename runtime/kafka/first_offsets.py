"""Where reading begins in a partition that has no offset of the group, or one that is out of range.

aiokafka 0.14 has one rule for three cases, `auto_offset_reset`. With `latest` it also jumps to the
end of a partition that was added while posts came, and of one whose retention has passed the
group's offset: what was still there was never read, and nothing said so. Here `latest` is for what
the group has never read; in the other two cases reading begins at the log's start.

This reads what aiokafka keeps for itself; the contract tests on a real broker hold it in place.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Literal

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import OffsetResetStrategy
from aiokafka.errors import KafkaError

from runtime.telemetry import log_events

_log = structlog.get_logger("consumer")

_EARLIEST, _LATEST = OffsetResetStrategy.EARLIEST, OffsetResetStrategy.LATEST

_AGAIN_S = 0.1
"""As aiokafka waits after any request that failed."""


def install(consumer: AIOKafkaConsumer, reset: Literal["earliest", "latest"]) -> None:
    """Have a consumer that has connected begin so, and log where it does without an offset."""
    fetcher: Any = consumer._fetcher  # noqa: SLF001 - no public way
    fetcher._default_reset_strategy = _EARLIEST  # noqa: SLF001 - of what is out of range
    fetcher._update_fetch_positions = _FirstOffsets(consumer, reset).update  # noqa: SLF001


class _FirstOffsets:
    """Stands before aiokafka's own `_update_fetch_positions`, and leaves it no choice."""

    def __init__(self, consumer: AIOKafkaConsumer, reset: Literal["earliest", "latest"]) -> None:
        self._consumer: Any = consumer
        self._reset = reset
        self._original = self._consumer._fetcher._update_fetch_positions  # noqa: SLF001

    async def update(self, assignment: Any, node: int, places: Iterable[TopicPartition]) -> bool:
        """Set the positions of these: a committed offset where there is one, else by the rule."""
        places = tuple(places)
        try:
            await self._begin(assignment, places)
        except asyncio.CancelledError:
            return False  # as the original: the assignment is over
        except KafkaError:
            await asyncio.sleep(_AGAIN_S)
            return False  # what has no position yet is asked about again
        woken: bool = await self._original(assignment, node, places)
        return woken

    async def _begin(self, assignment: Any, places: Iterable[TopicPartition]) -> None:
        without: dict[str, list[TopicPartition]] = {}
        for place in places:
            state = assignment.state_value(place)
            if _is_set(state):
                continue
            committed = await state.fetch_committed()
            if _is_set(state):
                continue  # somebody has sought meanwhile
            if committed.offset >= 0:
                state.reset_to(committed.offset)
            else:
                without.setdefault(place.topic, []).append(place)
        for topic, fresh in without.items():
            highest = await self._highest_committed(topic) if self._reset == "latest" else None
            at: dict[str, list[int]] = {}
            for place in fresh:
                state = assignment.state_value(place)
                if _is_set(state):
                    continue
                # Kafka numbers added partitions on. One below it was the group's, without posts.
                added = highest is not None and place.partition > highest
                start: str = "earliest" if added else self._reset
                state.await_reset(_LATEST if start == "latest" else _EARLIEST)
                at.setdefault(start, []).append(place.partition)
            for start, numbers in at.items():
                _log.info(
                    log_events.NO_COMMITTED_OFFSET,
                    topic=topic,
                    partitions=sorted(numbers),
                    begins_at=start,
                )

    async def _highest_committed(self, topic: str) -> int | None:
        """The highest partition of the topic that the group has an offset of; None without any."""
        client, coordinator = self._consumer._client, self._consumer._coordinator  # noqa: SLF001
        numbers = client.cluster.partitions_for_topic(topic) or ()
        found = await coordinator.fetch_committed_offsets(
            [TopicPartition(topic, number) for number in numbers]
        )
        return max((one.partition for one, at in found.items() if at.offset >= 0), default=None)


def _is_set(state: Any) -> bool:
    return bool(state.has_valid_position or state.awaiting_reset)
