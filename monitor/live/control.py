"""Alerts, what people say of them, and mutes: read back from their topics, and followed."""

import msgspec
import structlog

from monitor.live.board import Board
from monitor.settings import Settings
from monitor.telemetry import log_events
from runtime.kafka.connection import Broker
from runtime.kafka.topic_log import Span, StoredRecord, kafka_topic_log
from schemas.alert import AlertAction, Mute
from schemas.reading import NO_MESSAGE, read_alert_record

_log = structlog.get_logger("monitor")
_MUTE = msgspec.json.Decoder(Mute)


class Control:
    """Hands both topics to the board: first what they hold, then what comes."""

    def __init__(self, settings: Settings, broker: Broker, board: Board) -> None:
        self._names = settings.monitor
        self._broker = broker
        self._board = board
        self._alerts_end: dict[int, int] = {}
        self._mutes_end: dict[int, int] = {}

    async def load(self) -> None:
        """Read both to their ends.

        Raises:
            KafkaFault: the brokers don't answer.
        """
        async with kafka_topic_log(self._names.alerts_topic, self._broker) as log:
            spans = await log.spans()
            async for record in log.in_order(spans):
                self._alert(record)
            self._alerts_end = {number: span.end for number, span in spans.items()}
        async with kafka_topic_log(self._names.mutes_topic, self._broker) as log:
            spans = await log.spans()
            async for record in log.in_order(spans):
                self._mute(record)
            self._mutes_end = {number: span.end for number, span in spans.items()}

    async def follow_alerts(self) -> None:
        """Go on with the alerts' topic; never returns.

        Raises:
            KafkaFault: the brokers gave an error instead.
        """
        async with kafka_topic_log(self._names.alerts_topic, self._broker) as log:
            spans = {number: Span(end, end) for number, end in self._alerts_end.items()}
            async for record in log.in_order(spans, follow=True):
                self._alert(record, new=True)

    async def follow_mutes(self) -> None:
        """Go on with the mutes' topic; never returns.

        Raises:
            KafkaFault: the brokers gave an error instead.
        """
        async with kafka_topic_log(self._names.mutes_topic, self._broker) as log:
            spans = {number: Span(end, end) for number, end in self._mutes_end.items()}
            async for record in log.in_order(spans, follow=True):
                self._mute(record, new=True)

    def _alert(self, record: StoredRecord, *, new: bool = False) -> None:
        if record.value is None:
            return
        read = read_alert_record(record.value)
        if read is None:
            _unreadable(self._names.alerts_topic, record)
            return
        self._board.alert_record(read)
        if new and isinstance(read, AlertAction):
            _log.info(log_events.ACTION_READ, action=read.action, alert=read.alert_id)

    def _mute(self, record: StoredRecord, *, new: bool = False) -> None:
        if record.key is None:
            return
        mute: Mute | None = None
        if record.value is not None:
            try:
                mute = _MUTE.decode(record.value)
            except NO_MESSAGE:
                _unreadable(self._names.mutes_topic, record)
                return
        track = record.key.decode(errors="replace")
        self._board.mute_record(track, mute)
        if new:
            _log.info(
                log_events.ACTION_READ, action="unmute" if mute is None else "mute", track=track
            )


def _unreadable(topic: str, record: StoredRecord) -> None:
    _log.warning(
        log_events.RECORD_UNREADABLE, topic=topic, partition=record.partition, offset=record.offset
    )
