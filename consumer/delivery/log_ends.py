"""Where the logs end, asked of the brokers while partitions aren't fetched.

A fetch tells it; who doesn't fetch would show the lag of the moment in which it stopped.
"""

from collections.abc import Callable
from contextlib import suppress

from consumer.delivery.poller import Poller
from runtime.clock import Clock, sleep
from runtime.kafka.errors import KafkaFault
from runtime.kafka.protocol import KafkaConsumer, Partition

_EVERY_S = 5.0
"""Prometheus scrapes every 15 s or more."""
_WITHIN_S = 5.0


class LogEnds:
    """The last known ends of the assigned partitions' logs."""

    def __init__(
        self, poller: Poller, clock: Clock, current: Callable[[], KafkaConsumer | None]
    ) -> None:
        self._poller = poller
        self._clock = clock
        self._current = current
        self._ends: dict[Partition, int] = {}
        self._forgotten = 0
        """How often: an answer to a question from before says nothing."""

    async def run(self) -> None:
        """Ask until cancelled, while anything isn't fetched."""
        while True:
            await sleep(self._clock, _EVERY_S)
            if self._poller.paused is not None or self._poller.held:
                await self.ask()

    async def ask(self) -> None:
        """Ask once; what can't be told now stays as it was."""
        consumer = self._current()
        if consumer is None or not (assigned := consumer.assignment()):
            return
        before = self._forgotten
        with suppress(KafkaFault):  # brokers that don't answer are another trouble
            ends = await consumer.end_offsets(assigned, timeout_s=_WITHIN_S)
            if self._forgotten == before:
                self._ends = dict(ends)

    def of(self, partition: Partition, fetched: int | None) -> int | None:
        """Where this log ends: the later of what was asked and what the last fetch told."""
        asked = self._ends.get(partition)
        if asked is None or fetched is None:
            return fetched if asked is None else asked
        return max(asked, fetched)

    def forget(self) -> None:
        """Another assignment, or a log that was created again."""
        self._forgotten += 1
        self._ends.clear()
