"""Synthetic load: the same for the same seed, in the shares asked for, each bad input as listed."""

import random
import statistics
from itertools import islice
from typing import Any

import msgspec
import pytest

from consumer.analysis.decoder import Decoder
from consumer.records import Record, Skip
from producer import BAD_INPUTS, BadInput, Broker, LoadSettings, Outgoing, load_records, send_load
from producer.synthetic import synthetic_post
from schemas import DeadLetter, Post
from tests.producer.fakes import FakeClock, FakeProducer


def made(count: int, **settings: Any) -> list[Outgoing]:
    return list(islice(load_records(LoadSettings(**settings)), count))


def text_of(record: Outgoing) -> str:
    return msgspec.json.decode(record.value or b"", type=Post).text


def test_the_same_seed_makes_the_same_records() -> None:
    shares = {"duplicates": 0.2, "bad_input": 0.2}
    assert made(300, seed=7, **shares) == made(300, seed=7, **shares)
    assert made(300, seed=7, **shares) != made(300, seed=8, **shares)


def test_reposts_and_bad_input_have_their_shares() -> None:
    records = made(4_000, duplicates=0.3, bad_input=0.1, bad_kinds=("not_json", "emoji_only"))
    kinds = [record.kind for record in records]
    assert kinds.count("repost") / 4_000 == pytest.approx(0.3, abs=0.03)
    assert kinds.count("not_json") / 4_000 == pytest.approx(0.05, abs=0.015)
    assert kinds.count("emoji_only") / 4_000 == pytest.approx(0.05, abs=0.015)
    assert kinds.count("post") + kinds.count("repost") > 3_400
    assert len({record.key for record in records}) == 4_000


def test_a_repost_repeats_an_earlier_text_and_other_posts_hardly_ever_do() -> None:
    records = made(3_000, duplicates=0.3)
    texts: set[str] = set()
    repeated = 0
    for record in records:
        if record.kind == "repost":
            assert text_of(record) in texts
        elif text_of(record) in texts:
            repeated += 1
        texts.add(text_of(record))
    assert repeated < 10


@pytest.mark.parametrize("size", [80, 120, 280, 1_000])
def test_texts_have_about_the_size_asked_for(size: int) -> None:
    rng = random.Random(1)
    lengths = [len(synthetic_post(rng, id_="x", size=size).text) for _ in range(500)]
    assert statistics.mean(lengths) == pytest.approx(size, rel=0.25)


@pytest.mark.parametrize("bad", BAD_INPUTS, ids=lambda bad: bad.kind)
def test_the_consumer_makes_of_each_bad_input_what_the_table_says(bad: BadInput) -> None:
    rng = random.Random(0)
    for number in range(20):
        record = Record(
            topic="posts",
            partition=0,
            offset=number,
            epoch=0,
            timestamp_ms=0,
            received_at=0.0,
            key=b"k",
            value=bad.value(f"id-{number}", rng),
        )
        outcome = Decoder().decode(record)
        found = outcome.class_name if isinstance(outcome, DeadLetter) else None
        assert found == bad.dead_letter
        assert isinstance(outcome, Skip) == bad.skipped


async def test_a_run_ends_at_its_count_and_counts_by_kind() -> None:
    producer = FakeProducer()
    settings = LoadSettings(count=500, bad_input=0.5, bad_kinds=("empty_text",))
    report = await send_load(settings, Broker(), producer=producer)
    assert report.ok
    assert (report.sent, report.acked) == (500, 500)
    assert sum(report.kinds.values()) == 500
    texts = [text_of(record) for record in producer.records]
    assert report.kinds["empty_text"] == sum(len(text) < 4 for text in texts) > 200


async def test_a_run_ends_when_its_time_is_over() -> None:
    settings = LoadSettings(rate=100, duration_s=3)
    report = await send_load(settings, Broker(), producer=FakeProducer(), clock=FakeClock())
    assert report.ok
    assert report.sent == pytest.approx(300, abs=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"duplicates": 1.1}, "shares"),
        ({"duplicates": 0.6, "bad_input": 0.6}, "shares"),
        ({"bad_input": -0.1}, "shares"),
        ({"bad_kinds": ("nonsense",)}, "no such bad input: nonsense; there are not_json"),
        ({"size": 0}, "size"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LoadSettings(**settings)
