"""What the active monitor writes: windows, alerts, baselines, with the offsets they stand for."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec
from aiokafka import TopicPartition
from msgspec import UNSET

from monitor.configured import digest, rules
from monitor.live.unwatched import made_by
from monitor.settings import Settings
from runtime.errors import Misconfigured
from runtime.kafka.fenced import FencedProducer
from runtime.kafka.options import KafkaOptions
from runtime.kafka.partitioning import partition_of
from runtime.kafka.producing import Outgoing
from runtime.registry.errors import Unencodable
from runtime.registry.values import JSON_VALUES, ValueWriter
from schemas.alert import Alert
from schemas.baseline import Baseline
from schemas.window import Window


def window_key(window: Window) -> bytes:
    """The record's key: track and window start."""
    return f"{window.track}|{window.start:%Y-%m-%dT%H:%M:%SZ}".encode()


def track_partition(track: str, partitions: int) -> int:
    """Where all windows of a track stand: by the track alone, as Kafka's own clients would."""
    return partition_of(track.encode(), range(partitions), ())


class Journal:
    """Writes each set whole, with its offsets, or not at all."""

    def __init__(
        self, options: KafkaOptions, settings: Settings, values: ValueWriter = JSON_VALUES
    ) -> None:
        """`values` makes what others read, too; baselines are this service's own, and JSON."""
        self._settings = settings
        self._values = values
        self._producer = FencedProducer(options, settings.monitor.group_id)
        self._rules = {rule.name: digest(rule) for rule in rules(settings)}
        self._partitions = 1
        self.windows_end: dict[int, int] = {}
        """By partition of the windows' topic, the offset after the last one known."""
        self.since: dict[str, dict[str, int]] = {}
        """By track, the offsets from which on windows are its own. A track that isn't here is new:
        what the topic holds of its name when its first baseline is made was another's."""

    async def start(self) -> None:
        """Shut out the monitor that was active before.

        Raises:
            KafkaFault: the brokers refuse, or don't answer.
        """
        await self._producer.start()
        self._partitions = await self._producer.partitions(self._settings.monitor.windows_topic)

    async def write(
        self,
        windows: Iterable[Window],
        alerts: Iterable[Alert],
        offsets: Mapping[int, int],
        baselines: Iterable[Baseline] = (),
        *,
        closed_until: int | None = None,
        gone: Iterable[str] = (),
    ) -> None:
        """Write all of it and commit the offsets of the events' topic; one transaction.

        `closed_until` (Unix seconds of event time) is noted beside the offsets: the newest window
        may be older, where no watched track had posts since. `gone` are tracks whose baselines are
        deleted.

        Raises:
            Fenced: another monitor has become active; nothing was written.
            Misconfigured: the registered schema has no place for what is written.
            KafkaFault: whether it was written isn't known: begin from what the topics say.
        """
        names = self._settings.monitor
        records: list[tuple[Outgoing, int | None]] = []
        for window in windows:
            record = self._outgoing(names.windows_topic, window_key(window), window)
            records.append((record, track_partition(window.track, self._partitions)))
        for alert in alerts:
            # One partition for all: they stay in order, and it has only one by default.
            record = self._outgoing(names.alerts_topic, alert.alert_id.encode(), alert)
            records.append((record, 0))
        for baseline in baselines:
            key, value = baseline.track.encode(), msgspec.json.encode(baseline)
            records.append((Outgoing(topic=names.baselines_topic, key=key, value=value), None))
        for track in gone:
            self.since.pop(track, None)
            key = track.encode()
            records.append((Outgoing(topic=names.baselines_topic, key=key, value=None), None))
        topic = self._settings.output.events_topic
        note = "" if closed_until is None else str(closed_until)
        committed = {TopicPartition(topic, number): (at, note) for number, at in offsets.items()}
        written = await self._producer.write(records, committed)
        for (record, partition), offset in zip(records, written, strict=True):
            if record.topic == names.windows_topic and partition is not None:
                self.windows_end[partition] = offset + 1

    def _outgoing(self, topic: str, key: bytes, message: Window | Alert) -> Outgoing:
        try:
            value, headers = self._values.encode(topic, message)
        except Unencodable as error:
            raise Misconfigured(f"registry: {error}; see `emostream schemas check`") from error
        return Outgoing(topic=topic, key=key, value=value, headers=headers)

    def baseline(self, track: str, state: bytes, *, closed_until: int, at: float) -> Baseline:
        """A snapshot that windows written after the last `write` are to be added to."""
        windows = {str(number): offset for number, offset in self.windows_end.items()}
        return Baseline(
            version=1,
            track=track,
            at=datetime.fromtimestamp(at, UTC),
            closed_until=closed_until,
            windows=windows,
            by=made_by(self._settings),
            rule=self._rules.get(track, UNSET),
            since=self.since.setdefault(track, windows),
            state=state,
        )

    async def stop(self) -> None:
        """Disconnect."""
        await self._producer.stop()
