"""What a run left on the broker, read whole: posts, outputs and every commit."""

import struct
from collections.abc import AsyncIterator, Iterator

import msgspec

from consumer.analysis.event_ids import EventIds
from producer import Broker, LoadSettings
from producer.bad_input import BAD_INPUTS
from producer.load import load_records
from runtime.kafka.topic_log import Span, StoredRecord, kafka_topic_log
from schemas import AffectEvent
from schemas.headers import read_dead_letter
from tests.faults.cluster import CLUSTER_ID, GROUP, NAMES, REMADE
from tests.faults.extras import Due, Extras
from tests.faults.unread import PLAN, QUESTIONS
from tests.faults.verdict import UNANSWERED, Commit, Input, Output, Position

_OFFSETS = "__consumer_offsets"
_BAD = {bad.kind: bad for bad in BAD_INPUTS}
_MINE = ("version", "processed_at", "cached", "prompts", "model")
"""Fields of an event that may differ between two of one record."""
_ALL = frozenset(question.name for question in QUESTIONS)


class Evidence:
    """Reads the broker. Dead letters are kept over the topic's deletions."""

    def __init__(self, bootstrap: str, load: LoadSettings, extras: Extras) -> None:
        self._broker = Broker(bootstrap=bootstrap)
        self._load = load
        self._extras = extras
        self._letters: list[Output] = []
        self._ids: dict[str, Position] = {}
        self.texts: dict[Position, str] = {}
        """Of every record that is a post, once `inputs` has read them."""

    async def inputs(self) -> dict[Position, Input]:
        """Every record on the input topics, with what must become of it."""
        assert self._load.count is not None
        kinds = {
            record.key: record.kind
            for record, _ in zip(load_records(self._load), range(self._load.count), strict=False)
        }
        found: dict[Position, Input] = {}
        ids = EventIds(PLAN.signature, cluster_id=CLUSTER_ID)
        async for record in self._read(NAMES.posts):
            due = self._extras.due.get(record.key or b"")
            if due is None:
                bad = _BAD.get(kinds[record.key] or "")
                due = Due() if bad is None else Due(bad.dead_letter, skipped=bad.skipped)
            position = (record.partition, record.offset)
            found[position] = _input(record.key, due, record.timestamp_ms)
            if due.dead_letter is None and not due.skipped:
                self.texts[position] = msgspec.json.decode(record.value or b"", type=_Text).text
            id_ = ids.of(NAMES.posts, record.partition, record.offset, record.value)
            self._ids[id_] = position
        for key in self._extras.kinds["remade"]:
            sent = self._extras.sent.get(key)
            if sent is not None:
                position = (sent.log, sent.offset)
                found[position] = _input(key, self._extras.due[key], sent.at)
                self.texts[position] = msgspec.json.decode(sent.value, type=_Text).text
                self._ids[ids.of(REMADE, 0, sent.offset, sent.value)] = position
        return found

    async def keep_letters(self) -> None:
        """Read the dead letters now: their topic is about to be deleted."""
        self._letters += [self._letter(record) async for record in self._read(NAMES.dead_letters)]

    async def outputs(self) -> list[Output]:
        """Every event and every dead letter; `inputs` comes first."""
        await self.keep_letters()
        events = [self._event(record) async for record in self._read(NAMES.events)]
        return events + self._letters

    async def commits(self) -> list[Commit]:
        """Every commit of the group in the order in which the broker wrote them."""
        found = []
        async for record in self._read(_OFFSETS):
            commit = read_commit(record.key, record.value)
            if commit is None or commit[0] != GROUP:
                continue
            _, topic, partition, offset, at, metadata = commit
            log: int | None = partition
            if topic != NAMES.posts:
                topic_id = metadata.partition(";")[0].removeprefix("topic-id=")
                log = self._extras.log_of(topic_id, at)
            if log is not None:
                found.append(Commit(log, offset, at))
        return found

    def _event(self, record: StoredRecord) -> Output:
        event = msgspec.json.decode(record.value or b"", type=AffectEvent)
        fields = msgspec.to_builtins(event)
        same = {name: value for name, value in fields.items() if name not in _MINE}
        values = msgspec.json.encode(same, order="sorted")  # 200,000 dictionaries take 400 MB
        at = record.timestamp_ms
        position = self._ids.get(event.id)
        unanswered = frozenset(event.unanswered)
        return Output(position, None, record.key, record.partition, values, at, unanswered)

    async def _read(self, topic: str) -> AsyncIterator[StoredRecord]:
        """Yield a topic's records, none of which is kept: a long run's take gigabytes."""
        async with kafka_topic_log(topic, self._broker) as log:
            spans = {number: Span(0, span.end) for number, span in (await log.spans()).items()}
            async for record in log.read(spans):
                yield record

    def _letter(self, record: StoredRecord) -> Output:
        letter = read_dead_letter(record.key, record.value, record.headers)
        log = letter.partition
        if letter.topic == REMADE:
            log = self._extras.sent[record.key or b""].log
        at = record.timestamp_ms
        name = letter.class_name
        unanswered = _ALL if name == UNANSWERED else frozenset[str]()
        position = (log, letter.offset)
        return Output(position, name, record.key, record.partition, letter.message, at, unanswered)


class _Text(msgspec.Struct):
    text: str


def _input(key: bytes | None, due: Due, at: float) -> Input:
    return Input(key, due.dead_letter, at, skipped=due.skipped, may_wait=due.may_wait)


def read_commit(
    key: bytes | None, value: bytes | None
) -> tuple[str, str, int, int, float, str] | None:
    """Read a record of `__consumer_offsets`: group, topic, partition, offset, time, metadata.

    The time is in milliseconds.

    None for what is no commit. The formats are Kafka's `OffsetCommitKey` (0, 1) and
    `OffsetCommitValue` (1 to 4).
    """
    if key is None or value is None or struct.unpack_from(">h", key)[0] > 1:
        return None
    words = _strings(key, 2)
    group, topic = next(words), next(words)
    (partition,) = struct.unpack_from(">i", key, 2 + 2 + len(group) + 2 + len(topic))
    version, offset = struct.unpack_from(">hq", value)
    at = 10 + (4 if version >= 3 else 0)  # the leader's epoch
    # The metadata's length is a varint from version 4 on; ours is below 127 bytes.
    start = at + (1 if version >= 4 else 2)
    length = value[at] - 1 if version >= 4 else struct.unpack_from(">h", value, at)[0]
    metadata = value[start : start + length].decode()
    (milliseconds,) = struct.unpack_from(">q", value, start + length)
    return group.decode(), topic.decode(), partition, offset, float(milliseconds), metadata


def _strings(data: bytes, at: int) -> Iterator[bytes]:
    while True:
        (length,) = struct.unpack_from(">h", data, at)
        yield data[at + 2 : at + 2 + length]
        at += 2 + length
