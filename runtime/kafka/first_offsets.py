"""Where reading begins in a partition that has no offset of the group, or one that is out of range.

aiokafka 0.14 has one rule for all cases, `auto_offset_reset`. With `latest` that loses posts: those
of a partition that was added while the consumer ran, until it was noticed; what retention has left
behind the group's offset; and after a crash what was read of a partition before its first commit,
or came to it meanwhile. Here `latest` is for what was there before the group: it is looked up once,
and committed before anything is read, so that the group goes on from there whatever happens.

This reads what aiokafka keeps for itself; the contract tests on a real broker hold it in place.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Literal

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import OffsetResetStrategy
from aiokafka.errors import CommitFailedError, KafkaError
from aiokafka.structs import OffsetAndMetadata

from runtime.kafka.offset_metadata import BEGINS_HERE
from runtime.telemetry import log_events

_log = structlog.get_logger("consumer")

_STRATEGIES = {"earliest": OffsetResetStrategy.EARLIEST, "latest": OffsetResetStrategy.LATEST}

_AGAIN_S = 0.1
"""As aiokafka waits after any request that failed."""


class FirstOffsets:
    """Has a consumer that has connected begin so, and logs where it does without an offset.

    Stands before aiokafka's own `_update_fetch_positions`, and leaves it no choice.
    """

    def __init__(self, consumer: AIOKafkaConsumer, reset: Literal["earliest", "latest"]) -> None:
        self._consumer: Any = consumer
        self._reset = reset
        fetcher: Any = consumer._fetcher  # noqa: SLF001 - no public way
        self._original = fetcher._update_fetch_positions  # noqa: SLF001
        fetcher._update_fetch_positions = self.update  # noqa: SLF001
        # Of what is out of range.
        fetcher._default_reset_strategy = OffsetResetStrategy.EARLIEST  # noqa: SLF001
        self._known: dict[str, int] = {}

    def assigned(self) -> None:
        """Remember how many partitions each topic had when it was first seen.

        Called at each assignment, before anything is read of it.
        """
        cluster = self._consumer._client.cluster  # noqa: SLF001 - no public way
        for topic in cluster.topics():
            if numbers := cluster.partitions_for_topic(topic):
                self._known.setdefault(topic, len(numbers))

    async def update(self, assignment: Any, node: int, places: Iterable[TopicPartition]) -> bool:
        """Set the positions of these: a committed offset where there is one, else by the rule."""
        places = tuple(places)
        try:
            fresh = await self._without_offset(assignment, places)
            if fresh:
                await self._begin(assignment, node, fresh)
        except (asyncio.CancelledError, CommitFailedError):
            return False  # as the original: the assignment is over
        except KafkaError:
            await asyncio.sleep(_AGAIN_S)
            return False  # what has no position yet is asked about again
        woken: bool = await self._original(assignment, node, places)
        return woken

    async def _without_offset(
        self, assignment: Any, places: Iterable[TopicPartition]
    ) -> list[TopicPartition]:
        """Set the positions of those that have an offset of the group; give the others."""
        fresh = []
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
                fresh.append(place)
        return fresh

    async def _begin(self, assignment: Any, node: int, places: Iterable[TopicPartition]) -> None:
        starts: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for place in places:
            starts[place.topic][self._start(place)].append(place.partition)
        if self._reset == "latest":
            asked = {
                topic: [(n, _STRATEGIES[start]) for start, of in by.items() for n in of]
                for topic, by in starts.items()
            }
            fetcher, coordinator = self._consumer._fetcher, self._consumer._coordinator  # noqa: SLF001
            found = await fetcher._proc_offset_request(node, asked)  # noqa: SLF001
            await coordinator.commit_offsets(
                assignment,
                {place: OffsetAndMetadata(found[place][0], BEGINS_HERE) for place in places},
            )
            for place in places:
                state = assignment.state_value(place)
                if not _is_set(state):
                    state.reset_to(found[place][0])
        for topic, by in starts.items():
            for start, numbers in by.items():
                _log.info(
                    log_events.NO_COMMITTED_OFFSET,
                    topic=topic,
                    partitions=sorted(numbers),
                    begins_at=start,
                )

    def _start(self, place: TopicPartition) -> str:
        """By the rule; but a partition that was added since this consumer began, from its start."""
        known = self._known.get(place.topic)
        added = known is not None and place.partition >= known  # Kafka numbers them on
        return "earliest" if added else self._reset


def _is_set(state: Any) -> bool:
    return bool(state.has_valid_position or state.awaiting_reset)
