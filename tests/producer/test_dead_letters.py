"""Dead letters: found, shown, sent back once more but never in a loop."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from aiokafka.errors import NotEnoughReplicasError
from msgspec.structs import replace

from producer import (
    Broker,
    DeadLetterFilter,
    DlqReplayReport,
    DlqReplaySettings,
    Listing,
    NoSuchDeadLetter,
    describe,
    list_dead_letters,
    replay_dead_letters,
    show_dead_letter,
)
from runtime.kafka.topic_log import StoredRecord
from schemas import DeadLetter, dead_letter_headers
from schemas.headers import ERRORS_PREFIX, REPLAYS
from tests.producer.fakes import FakeProducer, MemoryTopicLog
from tests.schemas.test_headers import LETTER

BROKER = Broker()
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def stored(
    offset: int, letter: DeadLetter = LETTER, *, partition: int = 0, minutes: int = 0
) -> StoredRecord:
    return StoredRecord(
        partition=partition,
        offset=offset,
        timestamp_ms=int((NOON + timedelta(minutes=minutes)).timestamp() * 1000),
        key=letter.key,
        value=letter.value,
        headers=dead_letter_headers(letter),
    )


def replayed(count: int, letter: DeadLetter = LETTER) -> DeadLetter:
    return replace(letter, headers=(*letter.headers, (REPLAYS, str(count).encode())))


STRAY = StoredRecord(partition=0, offset=3, timestamp_ms=0, key=None, value=b"not a letter")
LOG = [
    stored(0),
    stored(1, replace(LETTER, class_name="EmptyText"), minutes=1),
    stored(2, replace(LETTER, topic="other"), minutes=2),
    STRAY,
    stored(7, replayed(3), minutes=3),
    stored(5, replayed(1), partition=1, minutes=4),
]


def log() -> MemoryTopicLog:
    return MemoryTopicLog(list(LOG))


async def listed(limit: int = 100, **conditions: Any) -> Listing:
    return await list_dead_letters(
        BROKER, dead_letter_filter=DeadLetterFilter(**conditions), limit=limit, log=log()
    )


async def send_back(
    producer: FakeProducer, store: MemoryTopicLog, **settings: Any
) -> DlqReplayReport:
    return await replay_dead_letters(
        DlqReplaySettings(**settings), BROKER, log=store, producer=producer
    )


async def test_a_listing_counts_by_class_and_topic() -> None:
    listing = await listed()
    assert listing.by_class == {"NotUtf8": 4, "EmptyText": 1}
    assert listing.by_topic == {"posts": 4, "other": 1}
    assert (listing.matched, listing.unreadable) == (5, 1)
    assert [letter.replays for letter in listing.dead_letters] == [0, 0, 0, 3, 1]


@pytest.mark.parametrize(
    ("conditions", "offsets"),
    [
        ({"class_names": frozenset({"EmptyText"})}, [1]),
        ({"topics": frozenset({"other"})}, [2]),
        ({"stages": frozenset({"infer"})}, []),
        ({"since": NOON + timedelta(minutes=2)}, [2, 7, 5]),
        ({"until": NOON + timedelta(minutes=2)}, [0, 1]),
        ({"topics": frozenset({"posts"}), "since": NOON + timedelta(minutes=1)}, [1, 7, 5]),
    ],
)
async def test_a_filter_leaves_what_meets_every_condition(
    conditions: dict[str, Any], offsets: list[int]
) -> None:
    assert [letter.offset for letter in (await listed(**conditions)).dead_letters] == offsets


async def test_a_limit_keeps_the_newest_and_still_counts_all() -> None:
    listing = await listed(limit=2)
    assert [letter.offset for letter in listing.dead_letters] == [7, 5]
    assert listing.matched == 5


async def test_the_newest_are_those_of_all_partitions_in_the_order_of_time() -> None:
    store = MemoryTopicLog(
        [stored(n, partition=1, minutes=9 - n) for n in (0, 1)]
        + [stored(n, partition=0, minutes=n) for n in (0, 1, 2)]
    )
    listing = await list_dead_letters(BROKER, limit=3, log=store)
    places = [(letter.partition, letter.offset) for letter in listing.dead_letters]
    assert places == [(0, 2), (1, 1), (1, 0)]


async def test_a_letter_is_shown_with_its_bytes_only_when_asked() -> None:
    letter = await show_dead_letter(BROKER, 0, 7, log=log())
    assert letter.dead.value == LETTER.value
    brief, whole = describe(letter), describe(letter, with_value=True)
    assert brief["class_name"] == "NotUtf8"
    assert ["trace", "1"] in brief["headers"]
    assert "value" not in brief
    assert "key" not in brief
    assert whole["value"] == "\\xff"
    msgspec.json.encode(whole)


@pytest.mark.parametrize(("partition", "offset"), [(0, 4), (0, 8), (9, 0), (0, 3)])
async def test_what_is_no_letter_is_not_shown(partition: int, offset: int) -> None:
    with pytest.raises(NoSuchDeadLetter, match=f"/{partition}/{offset}"):
        await show_dead_letter(BROKER, partition, offset, log=log())


@pytest.mark.parametrize("dry_run", [False, True])
async def test_letters_that_their_topic_would_not_keep_are_counted(*, dry_run: bool) -> None:
    day_ms = 24 * 3_600_000
    now_ms = int(time.time() * 1000)
    store = MemoryTopicLog(
        [
            stored(n, replace(LETTER, topic=topic, timestamp_ms=at))
            for n, (topic, at) in enumerate(
                [
                    ("posts", now_ms - 8 * day_ms),
                    ("posts", now_ms - 6 * day_ms),
                    ("posts", None),
                    ("other", now_ms - 8 * day_ms),
                    ("posts", 0),
                ]
            )
        ]
    )
    store.retention = {"posts": 7 * day_ms}
    report = await send_back(FakeProducer(), store, dry_run=dry_run)
    assert report.ok
    assert report.replayed == 5
    assert report.older_than_retention == {"posts": 2}


async def test_a_letter_goes_back_as_the_record_it_was_with_its_count_one_up() -> None:
    producer = FakeProducer()
    letter = replayed(1, replace(LETTER, timestamp_ms=1_700_000_000_000))
    report = await send_back(producer, MemoryTopicLog([stored(0, letter)]))
    assert report.ok
    (record,) = producer.records
    assert (record.topic, record.key, record.value) == ("posts", LETTER.key, LETTER.value)
    assert record.headers == (*LETTER.headers, (REPLAYS, b"2"))
    assert record.timestamp_ms == 1_700_000_000_000
    assert not any(name.startswith(ERRORS_PREFIX) for name, _ in record.headers)


async def test_letters_go_to_their_own_topics_or_to_the_one_given() -> None:
    producer = FakeProducer()
    report = await send_back(producer, log())
    assert report.by_topic == {"posts": 3, "other": 1}
    producer = FakeProducer()
    await send_back(producer, log(), to_topic="elsewhere")
    assert {record.topic for record in producer.records} == {"elsewhere"}


async def test_a_letter_replayed_too_often_is_refused_and_named() -> None:
    producer = FakeProducer()
    report = await send_back(producer, log())
    assert not report.ok
    assert (report.matched, report.replayed, report.refused) == (5, 4, 1)
    assert report.refused_samples == ((0, 7),)
    assert report.unreadable == 1


async def test_a_record_that_always_fails_goes_round_no_more_often_than_the_limit() -> None:
    letter, rounds = LETTER, 0
    while True:
        producer = FakeProducer()
        report = await send_back(producer, MemoryTopicLog([stored(0, letter)]), max_replays=3)
        if report.refused:
            break
        rounds += 1
        letter = replace(LETTER, headers=producer.records[0].headers)  # fails again
    assert rounds == 3


async def test_letters_of_the_dead_letter_topic_itself_are_refused() -> None:
    circular = stored(0, replace(LETTER, topic="affect.dlq"))
    report = await send_back(FakeProducer(), MemoryTopicLog([circular]))
    assert report.refused == 1
    with pytest.raises(ValueError, match="their own topic"):
        DlqReplaySettings(to_topic="affect.dlq")


async def test_a_dry_run_counts_and_sends_and_commits_nothing() -> None:
    producer, store = FakeProducer(), log()
    report = await send_back(producer, store, dry_run=True, group="g")
    assert (report.matched, report.replayed, report.refused) == (5, 4, 1)
    assert report.by_topic == {"posts": 3, "other": 1}
    assert producer.records == []
    assert store.committed == {}


async def test_without_a_group_nothing_is_committed() -> None:
    store = log()
    await send_back(FakeProducer(), store)
    assert store.committed == {}


async def test_a_group_goes_on_after_what_was_acknowledged() -> None:
    store = log()
    first = FakeProducer()
    await send_back(first, store, group="g")
    assert store.committed == {0: 8, 1: 6}
    again = FakeProducer()
    report = await send_back(again, store, group="g")
    assert report.matched == 0
    assert again.records == []


async def test_a_letter_that_was_not_acknowledged_holds_the_commit() -> None:
    store, producer = log(), FakeProducer()
    producer.refuse = lambda r: NotEnoughReplicasError() if r.topic == "other" else None
    report = await send_back(producer, store, group="g")
    assert not report.ok
    assert (report.replayed, report.failed) == (3, 1)
    assert report.errors == {"NotEnoughReplicasError": 1}
    assert store.committed == {0: 2, 1: 6}


async def test_a_letter_that_the_filter_left_out_holds_the_commit() -> None:
    store = log()
    wanted = DeadLetterFilter(topics=frozenset({"posts"}), since=NOON + timedelta(seconds=-1))
    await send_back(FakeProducer(), store, dead_letter_filter=wanted, group="g")
    assert store.committed == {0: 2, 1: 6}


async def test_letters_from_before_a_groups_since_hold_the_commit() -> None:
    """They were never sent back: a later replay of the group without `since` finds them."""
    store, producer = log(), FakeProducer()
    wanted = DeadLetterFilter(since=NOON + timedelta(minutes=2))
    report = await send_back(producer, store, dead_letter_filter=wanted, group="g")
    assert report.replayed == 2
    assert store.committed == {1: 6}
    assert (await send_back(FakeProducer(), store, group="g")).replayed == 3


async def test_a_limit_ends_the_replay_and_the_group_knows_where() -> None:
    store, producer = log(), FakeProducer()
    report = await send_back(producer, store, limit=2, group="g")
    assert report.ok
    assert len(producer.records) == 2
    assert store.committed == {0: 2}


async def test_a_stop_ends_the_replay_in_good_order() -> None:
    stop, producer, store = asyncio.Event(), FakeProducer(), log()
    producer.refuse = lambda _record: stop.set()
    report = await replay_dead_letters(
        DlqReplaySettings(group="g"), BROKER, log=store, producer=producer, stop=stop
    )
    assert report.ok
    assert (report.matched, report.replayed) == (1, 1)
    assert store.committed == {0: 1}


async def test_a_withheld_letter_is_refused_since_it_would_go_back_as_a_tombstone() -> None:
    producer = FakeProducer()
    withheld = replace(LETTER, value=None, withheld=True)
    report = await send_back(producer, MemoryTopicLog([stored(0, withheld)]))
    assert (report.replayed, report.refused, report.ok) == (0, 1, False)
    assert producer.records == []
