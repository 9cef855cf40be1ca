"""Posts behind a moment, read back from a real Kafka by where their windows say they are."""

from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from infra.kafka import EmbeddedKafka
from monitor.configured import make_matcher
from monitor.live.lookup import Lookup
from monitor.live.places import Places, Tombstones
from monitor.page.data import UnavailableError
from runtime.kafka.connection import Broker
from runtime.kafka.producing import kafka_producer
from tests.monitor.live.made import T0, event
from tests.monitor.live.stage import closing, make_stage, posts


async def test_posts_of_a_time_are_found_once_each_and_deleted_ones_are_not(
    kafka: EmbeddedKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = await make_stage(kafka.bootstrap, tmp_path)
    written = posts(0, 300)
    await stage.write([*written, *closing(10_000, 1_200)])
    places, tombstones = Places(), Tombstones()
    for window in (await stage.one_pass()).windows:
        places.add(window)
    match = make_matcher(stage.settings).match
    lookup = Lookup(stage.broker, stage.names.events, places, tombstones, match)
    start, end = T0 + timedelta(minutes=2), T0 + timedelta(minutes=4)
    wanted = {
        one.post_id: one.created_at
        for one in written
        if start <= one.created_at < end and one.topics == ("planes",)
    }
    found = await lookup.posts("planes", start, end, limit=100, negative=False)
    assert [one.post_id for one in found.events] == sorted(wanted, key=lambda one: wanted[one])
    assert found.total == len(wanted)
    cut = await lookup.posts("planes", start, end, limit=3, negative=False)
    assert (cut.events, cut.total) == (found.events[:3], found.total)
    negative = await lookup.posts("planes", start, end, limit=100, negative=True)
    assert 0 < negative.total < found.total

    gone = found.events[0]
    async with kafka_producer(stage.broker) as producer:
        await (await producer.send(stage.names.events, key=gone.post_id.encode(), value=None))
    (tombstone,) = [one for one in await stage.everything(stage.names.events) if one.value is None]
    shown = tombstones.bury(tombstone.partition, tombstone.offset, tombstone.key or b"")
    assert shown == [gone.id]
    left = await lookup.posts("planes", start, end, limit=100, negative=False)
    assert left.events == found.events[1:]

    ids = tuple(one.id for one in found.events[:3])
    examples = await lookup.by_id(ids, start, end)
    assert [one.id for one in examples.events] == list(ids[1:])
    assert examples.note == "1 are deleted or have expired"

    monkeypatch.setattr("monitor.live.lookup._MOST_RECORDS", 10)
    few = await lookup.posts("planes", start, end, limit=100, negative=False)
    assert few.note is not None
    assert few.total < found.total


async def test_the_page_shows_the_first_posts_of_a_track_that_a_tag_made(
    bootstrap: str, tmp_path: Path
) -> None:
    """Those before it was one, too; by the spelling that it was made under."""
    stage = await make_stage(bootstrap, tmp_path)
    few = [event(n, topic="#Trains" if n < 12 else "trains") for n in range(14)]
    await stage.write([*few, *closing(100, 1_200)])
    async with stage.running(tracks=[], page={"port": 0}):
        await stage.windows_until([f"#Trains|{T0:%Y-%m-%dT%H:%M:%SZ}".encode()])
    again = stage.running(tracks=[], page={"port": 0})
    async with again as line, aiohttp.ClientSession() as http:
        start = int(T0.timestamp())
        query = {"track": "#Trains", "start": str(start), "end": str(start + 60)}
        page = line.rpartition(" ")[2]
        async with http.get(f"{page}/api/posts", params=query) as answer:
            found = await answer.json()
    assert [one["id"] for one in found["posts"]] == [one.id for one in few]


async def test_without_a_broker_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.kafka.topic_log._START_S", 0.5)
    lookup = Lookup(
        Broker(bootstrap="127.0.0.1:1"), "nothing", Places(), Tombstones(), lambda _: ()
    )
    with pytest.raises(UnavailableError, match="can't be read now"):
        await lookup.posts("planes", T0, T0, limit=1, negative=False)
