"""`demo --live bluesky`: so many posts of a Jetstream; where there is none, nothing is begun."""

from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from emostream.command_line import make_app
from emostream.demo.live import LiveChoice, send_live
from emostream.demo.tally import Tally
from emostream.exits import CommandError, explain
from infra.kafka import EmbeddedKafka, TopicSpec, create_topics
from producer.live import SourceFailed
from runtime.clock import SystemClock
from tests.emostream.demo.made_up import event as affect_event
from tests.producer.live.jetstream_server import (
    JetstreamServer,
    event,
    jetstream,
    post_id,
    send,
    stay,
)


async def five(_: JetstreamServer, socket: web.WebSocketResponse, cursor: int | None) -> None:
    """Five posts, one of them in German, one edited before the others come."""
    now = int(SystemClock().wall() * 1e6)
    await send(socket, event(1, now))
    await send(socket, event(1, now + 1, operation="update", text="better"))
    await send(socket, event(2, now + 2, langs=["de"]))
    for number in (3, 4, 5):
        await send(socket, event(number, now + number))
    await stay(socket)


@pytest.mark.kafka
async def test_it_sends_so_many_posts_of_the_language_an_edit_is_none_more(
    kafka: EmbeddedKafka,
) -> None:
    await create_topics({"bootstrap_servers": kafka.bootstrap}, [TopicSpec("demo.live", 1, 1)])
    tally, acked = Tally(), list[str]()
    async with jetstream([], five) as server:
        choice = LiveChoice(urls=(server.url,), langs=("en",))
        await send_live(choice, tally, acked, kafka.bootstrap, posts=4, topic="demo.live")
    assert acked == [post_id(number) for number in (1, 3, 4, 5)]
    assert tally.sent == 4


def test_an_edited_posts_second_event_is_no_redelivery() -> None:
    tally = Tally()
    first = affect_event("p", 0.1)
    again = msgspec.structs.replace(first, id="of another offset")
    tally.event_seen(first)
    tally.event_seen(first)
    assert tally.repeated == 1
    tally.event_seen(again)
    assert tally.repeated == 1
    assert tally.events["p"] is again


def test_where_no_host_answers_it_says_so_before_anything_is_begun(tmp_path: Path) -> None:
    words = ["demo", "--live", "bluesky", "--lang", "en", "--logs", str(tmp_path)]
    with pytest.raises(SourceFailed, match=r"127\.0\.0\.1:9: .* Is there a network\?") as failed:
        make_app(overview=False)([*words, "--host", "ws://127.0.0.1:9"])
    assert explain(failed.value)[0] == 1
    assert list(tmp_path.iterdir()) == []
    own = tmp_path / "own.csv"
    own.touch()
    for more in (["--file", str(own)], ["--host", "https://x"]):
        with pytest.raises(CommandError) as refused:
            make_app(overview=False)([*words, *more])
        assert refused.value.status == 2
