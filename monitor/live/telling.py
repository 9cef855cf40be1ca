"""Notifications beside the active monitor: its alerts' topic, told to those who want to know."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime

import msgspec
from msgspec import UnsetType

from monitor.live.board import Board
from monitor.notify import Notifier
from monitor.notify.feed import AlertFeed
from monitor.notify.targets import make_target
from monitor.page.data import PageDataError
from monitor.settings import Settings
from monitor.telemetry import metrics as m
from runtime.background import unended
from runtime.clock import Clock
from runtime.errors import Misconfigured
from runtime.kafka.aiokafka_brokers import AiokafkaBrokers
from runtime.kafka.options import KafkaOptions
from runtime.kafka.protocol import KafkaConsumer
from runtime.registry.values import ValueReader
from runtime.telemetry.metric import Counts
from schemas.alert import Alert

_JOIN_S = 30.0
"""For the notifier's group: a member that died is missed after its session timeout."""
_LOOK_S = 5.0
"""Between two looks for mutes that have ended."""
_CLOSE_S = 5.0
"""For what waits to be told, at the end; what isn't told by then is told by the next one."""


class _Counting:
    """Counts what became of each message."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def delivered(self, target: str) -> None:
        self._counts.add(m.NOTIFICATIONS, target, "delivered")

    def retried(self, target: str) -> None:
        self._counts.add(m.NOTIFICATIONS, target, "retried")

    def undelivered(self, target: str) -> None:
        self._counts.add(m.NOTIFICATIONS, target, "undelivered")


class Telling:
    """The notifier and what feeds it. Without receivers it does nothing."""

    def __init__(
        self,
        settings: Settings,
        options: KafkaOptions,
        board: Board,
        clock: Clock,
        counts: Counts,
        *,
        values: ValueReader | None = None,
    ) -> None:
        """`values` reads alerts that a schema registry frames."""
        self._values = values
        self._settings = settings.monitor
        self._options = msgspec.structs.replace(
            options,
            group_id=f"{options.group_id}-notify",
            input_topics=(settings.monitor.alerts_topic,),
            auto_offset_reset="latest",
        )
        self._board = board
        self._clock = clock
        self._counts = counts
        self._notifier: Notifier | None = None
        self._feed: AlertFeed | None = None
        self._feeding: asyncio.Task[None] | None = None

    async def start(self, stack: AsyncExitStack, page_url: str) -> None:
        """Begin; `stack` ends it.

        Raises:
            Misconfigured: a receiver needs something that isn't installed.
        """
        if not self._settings.notify:
            return
        try:
            targets = [(make_target(one, clock=self._clock), one) for one in self._settings.notify]
        except ModuleNotFoundError as error:
            raise Misconfigured(
                f"monitor.notify: {error.name} is not installed: pip install 'emostream[notify]'"
            ) from None
        self._notifier = Notifier(
            targets,
            clock=self._clock,
            is_muted=self._is_muted,
            examples=self._examples,
            page_url=self._settings.page.url or page_url,
            observer=_Counting(self._counts),
        )
        self._notifier.start(self._board.alerts_kept.fired(), was_muted=self._was_muted)
        stack.push_async_callback(self._end)
        consumer: KafkaConsumer = AiokafkaBrokers(self._options).consumer()
        if self._values is not None:
            consumer = self._values.over(consumer)
        self._feed = feed = AlertFeed(consumer, self._notifier)
        # Joined before any alert is written: a new group begins at the topic's end.
        self._feeding = asyncio.create_task(feed.run(), name="reading alerts")
        began = asyncio.create_task(feed.assigned.wait())
        await asyncio.wait(
            (began, self._feeding), timeout=_JOIN_S, return_when=asyncio.FIRST_COMPLETED
        )
        began.cancel()

    async def run(self) -> None:
        """Tell of each transition; returns when cancelled, or at once without receivers.

        Raises:
            KafkaFault: the brokers gave an error instead.
            Broken: what reads alerts, or tells a receiver, ended unasked.
        """
        if self._feeding is None or self._notifier is None:
            return
        working = (self._feeding, *self._notifier.tasks)
        while True:
            ended, _ = await asyncio.wait(
                working, timeout=_LOOK_S, return_when=asyncio.FIRST_COMPLETED
            )
            for task in ended:
                await unended(f"telling of alerts ({task.get_name()})", task)
            self._notifier.tell_unmuted()

    async def _end(self) -> None:
        """Send what still waits, then stop reading, which commits all that was told."""
        if self._notifier is not None:
            await self._notifier.aclose(within_s=_CLOSE_S)
        if self._feed is not None and self._feeding is not None:
            self._feed.stop()
            await asyncio.gather(self._feeding, return_exceptions=True)

    @property
    def undelivered(self) -> int:
        """Transitions that some receiver was never told of, since the start of this term."""
        return self._notifier.undelivered if self._notifier is not None else 0

    @property
    def problems(self) -> list[str]:
        """A sentence for each receiver that takes no notification."""
        return self._notifier.problems() if self._notifier is not None else []

    def _is_muted(self, track: str, at: datetime) -> bool:
        return self._board.muted(track, at)

    def _was_muted(self, alert: Alert) -> bool:
        """Whether its track was muted already when it fired, by the mute that it has now."""
        fired = alert.at if isinstance(alert.fired_at, UnsetType) else alert.fired_at
        return self._board.muted_since(alert.track, fired)

    async def _examples(self, alert: Alert) -> Sequence[str]:
        try:
            posts = await self._board.examples(alert.alert_id)
        except PageDataError:
            return ()
        return [event.text for event in posts.events if event.text]
