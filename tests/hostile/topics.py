"""Hostile records into Kafka, and what became of each out of it."""

import random
import time
from collections import Counter
from collections.abc import Iterator

import msgspec
from aiokafka import AIOKafkaProducer

from consumer.analysis.event_ids import EventIds
from consumer.dead_letters import Reason, Stage
from infra.kafka import TopicNames
from producer import Broker
from runtime.kafka import record_batches
from runtime.kafka.topic_log import StoredRecord, kafka_topic_log
from schemas import AffectEvent
from schemas.headers import own_headers, read_dead_letter
from tests.hostile.draws import RandomDraws, mark
from tests.hostile.inputs import KINDS, Input, draw_input
from tests.hostile.raw_records import send_raw
from tests.hostile.texts import text

MARK = "qzxj"
"""Every mark begins so: no log, no error and no header of ours may hold it."""
PARTITIONS = 4
_PLAIN = 0.5
"""Share of ordinary posts: below one in ten the fuse stops the consumer, as it should."""
_RAW_NAMES = (b"\xff\xfe", b"", b"caf\xe9", b"\xed\xa0\x80", b"\x00", b"x" * 300)
_AT_ONCE = 500


class Sent(msgspec.Struct, frozen=True):
    """One record as it was sent."""

    kind: str
    value: bytes | None
    key: bytes | None


Position = tuple[int, int]


def draw_records(count: int, seed: int) -> Iterator[tuple[Input, bool]]:
    """Records, and whether they are sent with headers that no client writes."""
    draws = RandomDraws(random.Random(seed))
    now = int(time.time() * 1000)
    for number in range(count):
        if number % 5_000 == 17:
            given = _large(draws)
        elif draws.number(1, 1_000) <= 1_000 * _PLAIN:
            given = _plain(draws, number)
        else:
            given = draw_input(draws)
        # Brokers refuse what lies an hour ahead; before 1970 is no time for them.
        given = msgspec.structs.replace(given, timestamp_ms=min(max(given.timestamp_ms, 0), now))
        yield given, draws.number(0, 99) == 0 or (given.key is None and given.value is None)


def _plain(draws: RandomDraws, number: int) -> Input:
    marked = mark(draws)
    post = {"id": f"{number}", "text": f"{marked} {text(draws)}", "author": marked, "lang": "en"}
    return Input("an ordinary post", msgspec.json.encode(post), marked, key=str(number).encode())


def _large(draws: RandomDraws) -> Input:
    """Around the consumer's limit of 1,000,000 bytes, and near the topic's of 4 MiB."""
    marked = mark(draws)
    size = draws.one((999_000, 1_000_000, 1_000_001, 2_000_000, 4_190_000))
    start = b'{"id": "big", "text": "' + marked.encode() + b" "
    value = start + b"A b" * ((size - len(start) - 2) // 3)
    return Input(
        "as large as the topic takes", value + b"z" * (size - len(value) - 2) + b'"}', marked
    )


async def send(bootstrap: str, topic: str, count: int, seed: int) -> dict[Position, Sent]:
    """Send so many; by position what was sent."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, max_request_size=8 * 2**20, compression_type="lz4"
    )
    await producer.start()
    found: dict[Position, Sent] = {}
    waiting = []
    try:
        for number, (given, raw) in enumerate(draw_records(count, seed)):
            sent = Sent(given.kind, given.value, given.key)
            if raw:
                names = [(name, b"\xff") for name in _RAW_NAMES]
                future = await send_raw(
                    producer,
                    topic,
                    number % PARTITIONS,
                    key=given.key,
                    value=given.value,
                    headers=names,
                )
            else:
                future = await producer.send(
                    topic,
                    given.value,
                    given.key,
                    partition=number % PARTITIONS,
                    timestamp_ms=given.timestamp_ms,
                    headers=list(given.headers),
                )
            waiting.append((future, sent))
            if len(waiting) == _AT_ONCE or number == count - 1:
                for one, what in waiting:
                    at = await one
                    found[at.partition, at.offset] = what
                waiting.clear()
    finally:
        await producer.stop()
    assert len(found) == count
    return found


class Verdict(msgspec.Struct):
    """What became of all records."""

    ended: Counter[tuple[str, str]]
    """By kind, and `event` or the class of the dead letter."""
    wrong: list[str]
    """What breaks a promise."""
    uncommitted: int

    def table(self) -> str:
        """Markdown: what became of which kind."""
        ends = sorted({end for _, end in self.ended} - {"event"})
        kinds = ("an ordinary post", *KINDS, "as large as the topic takes", "all")
        lines = [f"| record | records | event | {' | '.join(ends)} |"]
        lines.append(f"|---|{'---:|' * (len(ends) + 2)}")
        for kind in kinds:
            counts = [
                sum(n for (k, e), n in self.ended.items() if e == end and kind in (k, "all"))
                for end in ("event", *ends)
            ]
            cells = " | ".join(f"{n:,}" if n else "" for n in counts)
            lines.append(f"| {kind} | {sum(counts):,} | {cells} |")
        return "\n".join(lines) + "\n"


async def judge(
    bootstrap: str,
    names: TopicNames,
    group: str,
    sent: dict[Position, Sent],
    *,
    event_ids: EventIds,
) -> Verdict:
    """Hold every topic, whole, against what was sent: set arithmetic, no sample.

    `event_ids` are those of the consumer that was run.
    """
    record_batches.install()
    ids = {event_ids.of(names.posts, p, o, one.value): (p, o) for (p, o), one in sent.items()}
    verdict = Verdict(Counter(), [], 0)
    broker = Broker(bootstrap=bootstrap)
    originals: dict[Position, StoredRecord] = {}
    async with kafka_topic_log(names.posts, broker, group=group) as log:
        behind = await log.spans()
        verdict.uncommitted = sum(span.end - span.start for span in behind.values())
    async with kafka_topic_log(names.posts, broker) as log:
        async for record in log.read(await log.spans()):
            original = msgspec.structs.replace(record, value=None)  # megabytes: `sent` has them
            originals[record.partition, record.offset] = original
    seen: Counter[Position] = Counter()
    async with kafka_topic_log(names.events, broker) as log:
        async for record in log.read(await log.spans()):
            event = msgspec.json.decode(record.value or b"", type=AffectEvent)
            at = ids.get(event.id)
            if at is None:
                verdict.wrong.append(f"an event of no record: {event.id}")
                continue
            seen[at] += 1
            verdict.ended[sent[at].kind, "event"] += 1
    async with kafka_topic_log(names.dead_letters, broker) as log:
        async for record in log.read(await log.spans()):
            at, end, wrong = _dead_letter(record, sent, originals)
            seen[at] += 1
            verdict.ended[sent[at].kind, end] += 1
            verdict.wrong += wrong
    for at, one in sent.items():
        if one.value is None and not seen[at]:  # a tombstone is no post: settled without output
            seen[at] += 1
            verdict.ended[one.kind, "skipped"] += 1
    verdict.wrong += [f"record {at} ended {seen[at]} times" for at in sent if seen[at] != 1]
    verdict.wrong += [f"{at} was never sent" for at in originals if at not in sent]
    if verdict.uncommitted:
        verdict.wrong.append(f"{verdict.uncommitted} records are not committed")
    return verdict


def _dead_letter(
    record: StoredRecord, sent: dict[Position, Sent], originals: dict[Position, StoredRecord]
) -> tuple[Position, str, list[str]]:
    dead_letter = read_dead_letter(record.key, record.value, record.headers)
    at = (dead_letter.partition, dead_letter.offset)
    wrong = []
    if dead_letter.class_name not in set(map(str, Reason)) or dead_letter.stage not in set(
        map(str, Stage)
    ):
        wrong.append(f"{at}: {dead_letter.stage} {dead_letter.class_name} is not documented")
    if not dead_letter.message:
        wrong.append(f"{at}: no message")
    reason = [value or b"" for name, value in record.headers if name.startswith("__emostream.err")]
    if any(MARK.encode() in value for value in reason):
        wrong.append(f"{at}: its headers quote the post")
    original = originals[at]
    same = (dead_letter.key, dead_letter.value) == (original.key, sent[at].value)
    if not same or dead_letter.headers != own_headers(original.headers):
        wrong.append(f"{at}: not the record's own key, value and headers")
    return at, dead_letter.class_name, wrong
