"""Events and dead letters onto their topics: each record's outcome, acknowledged."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import msgspec
import structlog

from consumer.delivery.guarantees.sending import OutcomeSender
from consumer.errors import PublishTimedOut
from consumer.options import PublishLimits
from consumer.records import Published, Record, Skip
from consumer.telemetry import log_events
from runtime.clock import Clock, sleep, wait_all
from runtime.errors import ServiceError
from runtime.kafka.errors import KafkaFault, ProducerLost
from runtime.kafka.options import KafkaOptions
from runtime.kafka.protocol import Brokers, KafkaProducer
from runtime.kafka.unread import abandon
from schemas import DeadLetter

_log = structlog.get_logger("consumer")

_BACK_OFF_S = 0.05
"""Before what failed is sent again; doubles with each try."""
_BACK_OFF_MAX_S = 2.0
"""A broker's restart takes seconds."""
_STOP_S = 5.0
"""For a producer that was replaced to send what it still holds."""
_CANCEL_S = 1.0
"""For a send that was cancelled at the deadline to end."""


class Receipt(msgspec.Struct, eq=False):
    """What became of a batch. Whatever isn't named here stays uncommitted."""

    events: list[Record]
    """Their events are acknowledged."""
    dead_lettered: list[Record]
    """Their dead letters are acknowledged."""
    dead_letters: list[DeadLetter]
    """Those dead letters."""
    error: ServiceError | None = None
    """Why something isn't acknowledged; ends the service once the rest is settled."""
    last_fault: str | None = None
    """What a send last failed with, and was then tried again."""
    skipped: list[Skip] = msgspec.field(default_factory=list)
    """Records that are no posts, and settled. Exactly-once only: else they settle by themselves."""


_Item = tuple[Record, Published]


class Publisher:
    """Sends outcomes with one idempotent producer, which it replaces when its sequence breaks."""

    def __init__(
        self,
        brokers: Brokers,
        options: KafkaOptions,
        limits: PublishLimits,
        clock: Clock,
        *,
        sender: OutcomeSender | None = None,
    ) -> None:
        self._sender = sender or OutcomeSender(options)
        self._brokers = brokers
        self._options = options
        self._limits = limits
        self._clock = clock
        self._producer: KafkaProducer | None = None
        self._renewing = asyncio.Lock()
        self._stopping: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect.

        Raises:
            KafkaFault: there is no connection to be had.
        """
        producer = self._brokers.producer()
        try:
            await producer.start()
        except asyncio.CancelledError:
            await producer.stop(timeout_s=0)
            raise
        self._producer = producer

    async def stop(self, *, timeout_s: float = _STOP_S) -> None:
        """Send what is still buffered, for up to `timeout_s` seconds, and disconnect."""
        if self._producer is not None:
            self._retire(self._producer, timeout_s)
            self._producer = None
        if self._stopping:
            await asyncio.wait(self._stopping)

    async def publish(self, records: Sequence[Record], outcomes: Sequence[Published]) -> Receipt:
        """Send each record's outcome, and wait until the brokers have acknowledged them.

        An event that is too large becomes a dead letter of stage `publish`. Never raises but for
        being cancelled: the receipt says what is acknowledged, and why the rest isn't.
        """
        receipt = Receipt([], [], [])
        deadline = self._clock.monotonic() + self._limits.timeout_s
        left: list[_Item] = list(zip(records, outcomes, strict=True))
        rounds = 0
        while left:
            remaining_s = deadline - self._clock.monotonic()
            if remaining_s <= 0:
                receipt.error = PublishTimedOut(
                    f"{len(left)} events or dead letters weren't acknowledged within "
                    f"{self._limits.timeout_s:g} s; they stay uncommitted and come again. Look at "
                    f"the brokers, min.insync.replicas, and the topics "
                    f"{self._options.output_topic} and {self._options.dlq_topic}; the last "
                    f"failure: {receipt.last_fault or 'none, no answer came'}"
                )
                break
            if rounds:
                back_off_s = min(_BACK_OFF_MAX_S, _BACK_OFF_S * 2 ** (rounds - 1))
                await sleep(self._clock, min(back_off_s, remaining_s))
            left = await self._round(left, receipt, deadline)
            if receipt.error is not None:
                break
            rounds += 1
        return receipt

    async def _round(self, items: list[_Item], receipt: Receipt, deadline: float) -> list[_Item]:
        """Send all, wait for all; give what is to be sent again. Ends at the deadline."""
        producer = self._producer
        assert producer is not None, "start() comes first"
        round_ = _Round()
        # A send waits while its partition's buffer is full, and a new producer for a broker: each
        # as long as there is none.
        try:
            await self._until(deadline, self._send_all(producer, items, round_, receipt))
            await wait_all(
                self._clock,
                [future for _, future in round_.sent],
                deadline - self._clock.monotonic(),
            )
        finally:
            # Given up at the deadline, or cancelled: what comes later is waited for by nobody.
            abandon(future for _, future in round_.sent)
        again = round_.again
        again += items[len(round_.sent) + round_.not_sent :]
        for item, future in round_.sent:
            if not future.done():
                again.append(item)
            elif (error := _error_of(future)) is None:
                _acknowledged(item, receipt)
            else:
                # aiokafka counts the sequence on before it sends: after a failed send that
                # producer's next ones to this partition are out of order, and stay so.
                round_.broken = True
                self._failed(item, producer.fault(error), again, receipt)
        if again and receipt.last_fault is not None:
            _log.warning(log_events.SENDS_FAILED, records=len(again), error=receipt.last_fault)
        if round_.broken and receipt.error is None:
            await self._until(deadline, self._renew(producer))
        return again

    async def _send_all(
        self, producer: KafkaProducer, items: list[_Item], round_: "_Round", receipt: Receipt
    ) -> None:
        for item in items:
            try:
                round_.sent.append((item, await self._sender.send(producer, item[1])))
            except Exception as error:  # noqa: BLE001 - `fault` reads whatever the client raises
                fault = producer.fault(error)
                round_.not_sent += 1
                round_.broken = round_.broken or isinstance(fault, ProducerLost)
                self._failed(item, fault, round_.again, receipt)

    async def _until(self, deadline: float, work: Coroutine[Any, Any, None]) -> None:
        """Do it, and cancel it at the deadline."""
        task = asyncio.get_running_loop().create_task(work)
        try:
            await wait_all(self._clock, (task,), deadline - self._clock.monotonic())
        finally:
            if not task.done():
                task.cancel()
                await wait_all(self._clock, (task,), _CANCEL_S)
        if task.done() and not task.cancelled():
            task.result()

    def _failed(self, item: _Item, fault: KafkaFault, again: list[_Item], receipt: Receipt) -> None:
        record, outcome = item
        match self._sender.failed(record, outcome, fault):
            case ServiceError() as error:
                receipt.error = error
            case None:
                receipt.last_fault = str(fault)
                again.append(item)
            case dead_letter:
                again.append((record, dead_letter))

    async def _renew(self, old: KafkaProducer) -> None:
        """Replace `old`, unless another batch has done it, or no broker is there for it."""
        async with self._renewing:
            if self._producer is not old:
                return
            new = self._brokers.producer()
            try:
                await new.start()
            except KafkaFault as error:
                _log.warning(log_events.PRODUCER_NOT_RENEWED, error=str(error))
                return
            except asyncio.CancelledError:
                self._retire(new, 0)  # its connections would stay open
                raise
            _log.warning(log_events.PRODUCER_RENEWED)
            self._producer = new
            # Other batches' sends may still be under way with it: it isn't cut off.
            self._retire(old)

    def _retire(self, producer: KafkaProducer, timeout_s: float = _STOP_S) -> None:
        task = asyncio.get_running_loop().create_task(producer.stop(timeout_s=timeout_s))
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)


class _Round:
    """One round of sends."""

    def __init__(self) -> None:
        self.sent: list[tuple[_Item, asyncio.Future[Any]]] = []
        """Handed over; the futures are the brokers' answers."""
        self.not_sent = 0
        """Refused before they were handed over."""
        self.again: list[_Item] = []
        self.broken = False
        """The producer can't go on."""


def _error_of(future: asyncio.Future[Any]) -> BaseException | None:
    """What a send failed with; a producer that was stopped cancels its sends."""
    if future.cancelled():
        return ProducerLost("the producer was stopped")
    return future.exception()


def _acknowledged(item: _Item, receipt: Receipt) -> None:
    record, outcome = item
    if isinstance(outcome, DeadLetter):
        receipt.dead_lettered.append(record)
        receipt.dead_letters.append(outcome)
    else:
        receipt.events.append(record)
