"""What the publisher keeps in mind: how far all is safe, what was sent, which posts are wanted."""

import tracemalloc
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.live.headers import SOURCE, WATERMARK, LiveHeaders, read
from producer.live.items import KEYWORD, LANG
from producer.live.mark import Mark
from producer.live.resume import read_back
from producer.live.selection import Selection
from producer.live.sent import Sent
from runtime.kafka.topic_log import Span, StoredRecord
from schemas import Post
from tests.producer.fakes import MemoryTopicLog


@given(
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 20), st.booleans())),
    rng=st.randoms(),
)
def test_the_watermark_never_passes_what_is_in_flight_and_never_goes_back(
    steps: list[tuple[bool, int, bool]], rng: Random
) -> None:
    mark, high, last = Mark(5), 5, 5
    in_flight: dict[int, int] = {}  # ticket to how far the stream had come before it
    for sent, position, acknowledge in steps:
        if sent:
            in_flight[mark.sent(position)] = high
        else:
            mark.passed(position)
        high = max(high, position)
        if acknowledge and in_flight:
            ticket = rng.choice(sorted(in_flight))
            mark.acknowledged(ticket)
            del in_flight[ticket]
        assert last <= mark.watermark == min([high, *in_flight.values()])
        last = mark.watermark


def test_an_acknowledgement_out_of_turn_moves_nothing() -> None:
    mark = Mark(0)
    first, second = mark.sent(10), mark.sent(20)
    mark.acknowledged(second)
    assert mark.watermark == 0
    mark.passed(30)
    mark.acknowledged(first)
    assert mark.watermark == 30


def test_a_record_says_what_is_safe_where_it_is_there_itself() -> None:
    mark = Mark(0)
    alone = mark.sent(10)
    assert mark.with_acknowledged(alone) == 10
    assert mark.with_acknowledged(mark.sent(20)) == mark.watermark == 0
    mark.acknowledged(alone)
    assert mark.with_acknowledged(mark.sent(15)) == mark.watermark == 10


def test_what_is_remembered_is_bounded_and_what_is_seen_again_stays() -> None:
    sent = Sent(3)
    for number in range(3):
        sent.remember(
            f"p{number}", source="s", version="1", digest=b"", author="a", alias=f"n{number}"
        )
    assert not sent.is_news("p0", "1", b"")
    sent.remember("p3", source="s", version="1", digest=b"", author="a", alias="n3")
    assert len(sent) == 3
    assert sent.is_news("p1", "1", b"")  # the least recently seen
    assert sent.by_author("a") == ["p0", "p2", "p3"]
    assert (sent.named("n1"), sent.named("n3")) == ("", "p3")


def test_without_versions_the_content_tells_what_is_new() -> None:
    sent = Sent(10)
    sent.remember("p", source="s", version="", digest=b"one")
    assert not sent.is_news("p", "", b"one")
    assert sent.is_news("p", "", b"two")


def test_a_deletion_holds_against_the_versions_before_it_only() -> None:
    sent = Sent(10)
    sent.remember("p", source="s", version="2", digest=b"")
    assert not sent.delete("p", "1")
    assert sent.delete("p", "3")
    assert not sent.delete("p", "3")
    assert not sent.is_news("p", "2", b"")
    assert sent.is_news("p", "4", b"")


def post(text: str, *topics: str) -> Post:
    return Post(id="p", text=text, topics=topics)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("The train is DELAYED again", True),
        ("undelayed", False),
        ("#delayed.", True),
        ("a late  \n Train", True),
        ("Zug verspätet", True),
        ("verspa\u0308tet", True),  # the same, decomposed
        ("電車が遅延している", True),
        ("nothing", False),
    ],
)
def test_keywords_are_whole_words_in_any_case(text: str, *, wanted: bool) -> None:
    selection = Selection((), ["delayed", "late train", "Verspätet", "遅延", "  "])
    assert selection.passes_over(post(text), ()) == (None if wanted else KEYWORD)


def test_a_hashtag_is_found_among_the_tags_too() -> None:
    assert Selection((), ["#trains"]).passes_over(post("x", "Trains"), ()) is None
    assert Selection((), ["#trains"]).passes_over(post("trains"), ()) == KEYWORD


def test_one_wanted_language_of_several_suffices() -> None:
    selection = Selection(["en", "pt-BR"])
    assert selection.passes_over(post("x"), ["de", "en-GB"]) is None
    assert selection.passes_over(post("x"), ["pt-br"]) is None
    assert selection.passes_over(post("x"), ["pt"]) == LANG
    assert selection.passes_over(post("x"), []) == LANG


def test_headers_are_read_as_they_were_written_and_others_are_none() -> None:
    written = LiveHeaders(source="s", watermark=7, position=9, version="v", alias="a")
    assert read([*written.encoded(), ("traceparent", b"x")]) == written
    assert read([]) is None
    for source, watermark in ((b"\xff", b"1"), (b"s", b"x")):
        assert read([(SOURCE, source), (WATERMARK, watermark)]) is None


class _LargePosts(MemoryTopicLog):
    """A partition of posts of 100 KB, each made as it is read."""

    async def spans(self, *, since: datetime | None = None) -> dict[int, Span]:
        return {0: Span(0, 300)}

    async def read(self, spans: Mapping[int, Span]) -> AsyncIterator[StoredRecord]:
        for offset in range(spans[0].start, spans[0].end):
            yield StoredRecord(
                partition=0,
                offset=offset,
                timestamp_ms=offset,
                key=b"p%d" % offset,
                value=b'{"id":"p%d","text":"%s","author":"a"}' % (offset, b"x" * 100_000),
                headers=LiveHeaders(source="s", watermark=offset).encoded(),
            )


async def test_reading_back_keeps_no_posts_text_in_memory() -> None:
    tracemalloc.start()
    try:
        found = await read_back(_LargePosts([]), ["s"], remember=1_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found.sent) == 300
    assert found.watermarks == {"s": 299}
    assert peak < 3_000_000  # all of them: 30 MB
