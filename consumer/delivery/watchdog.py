"""Finds a consumer that should deliver and doesn't, and has it replaced (aiokafka issue 1154)."""

from collections.abc import Awaitable, Callable

import structlog

from consumer.delivery.poller import Poller
from consumer.errors import Stuck
from consumer.options import WatchdogLimits
from consumer.telemetry import log_events
from runtime.clock import Clock, sleep
from runtime.kafka.errors import KafkaFault
from runtime.kafka.options import KafkaOptions
from runtime.kafka.protocol import KafkaConsumer

_log = structlog.get_logger("consumer")


class Watchdog:
    """Asks the brokers only when nothing came for a while: idle topics cost one request then."""

    def __init__(
        self,
        limits: WatchdogLimits,
        options: KafkaOptions,
        poller: Poller,
        clock: Clock,
        current: Callable[[], KafkaConsumer | None],
    ) -> None:
        self._limits = limits
        self._options = options
        self._poller = poller
        self._clock = clock
        self._current = current
        self._restarts = 0
        self._consumed = 0

    async def run(self, restart: Callable[[], Awaitable[None]]) -> None:
        """Watch until cancelled; call `restart` for a consumer that is stuck.

        Raises:
            Stuck: `max_restarts` in a row brought nothing.
        """
        while True:
            await sleep(self._clock, self._limits.stall_s / 4)
            if self._poller.consumed > self._consumed:
                self._restarts, self._consumed = 0, self._poller.consumed
            reason = await self.stuck()
            if reason is None:
                continue
            if self._restarts >= self._limits.max_restarts:
                raise Stuck(f"{reason}, after {self._restarts} new consumers; start it again")
            self._restarts += 1
            _log.error(log_events.CONSUMER_STUCK, reason=reason, restart=self._restarts)
            await restart()
            self._poller.last_loop = self._poller.last_delivery = self._clock.monotonic()

    async def stuck(self) -> str | None:
        """Say why the consumer is stuck; None if it isn't, or if that can't be told now."""
        poller, limits, consumer = self._poller, self._limits, self._current()
        now = self._clock.monotonic()
        if poller.rebalancing:
            return None  # it holds the loop for as long as the slowest member may take
        # One that the group is still to tell us of holds it, too.
        longest_round = limits.stall_s + 2 * self._options.rebalance_timeout_s
        if now - poller.last_loop > longest_round:
            return f"the fetch loop hasn't come round for {now - poller.last_loop:.0f} s"
        if consumer is None or poller.paused or now - poller.last_delivery < limits.stall_s:
            return None
        behind = await self._behind(consumer)
        quiet_s = self._clock.monotonic() - poller.last_delivery
        if behind == 0 or quiet_s < limits.stall_s or poller.rebalancing or poller.paused:
            return None
        return f"nothing delivered for {quiet_s:.0f} s, {behind} offsets behind"

    async def _behind(self, consumer: KafkaConsumer) -> int:
        """How many offsets it is behind; 0 if that can't be told now."""
        # One that isn't begun waits for its transactions: another consumer would wait, too.
        read = consumer.assignment() & self._poller.begun - self._poller.held.keys()
        if not read:
            return 0
        try:
            ends = await consumer.end_offsets(read, timeout_s=self._limits.probe_timeout_s)
        except KafkaFault:
            # Brokers that don't answer us are another trouble, which ends by itself.
            return 0
        return sum(
            max(0, end - position)
            for partition, end in ends.items()
            if (position := consumer.position(partition)) is not None
        )
