"""What identifies someone is kept, hashed or dropped, in events and in dead letters."""

from typing import Any

import pytest

from consumer.analysis.identifiers import Identifiers, Mode
from consumer.dead_letters import Reason, Stage, make_dead_letter
from consumer.records import Record
from consumer.settings import Output
from schemas import Post, dead_letter_headers, read_dead_letter

KEY = "0123456789abcdef0123456789abcdef"
POST = Post(
    id="109",
    text="@ann and @bob@social.example, mail me at me@x.example! cc @ann",
    source="mastodon",
    author="ann",
    url="https://social.example/@ann/109",
    meta={"who": "ann"},
    topics=("joy",),
)
RECORD = Record(
    topic="posts",
    partition=1,
    offset=2,
    epoch=1,
    timestamp_ms=3,
    received_at=4.0,
    key=b"ann",
    value=b'{"text": "by ann',
    headers=(("who", b"ann"), ("traceparent", b"00-1"), ("__emostream.replays", b"1")),
)
DEAD_LETTER = make_dead_letter(RECORD, Stage.DECODE, Reason.NOT_JSON, "truncated")


def test_kept_means_as_it_came() -> None:
    kept = Identifiers(KEY)
    assert kept.post(POST, "e") is POST
    assert kept.key(b"ann", "109") == b"ann"
    assert kept.key(None, "109") == b"109"
    assert kept.dead_letter(DEAD_LETTER) is DEAD_LETTER


@pytest.mark.parametrize("mode", ["hash", "drop"])
def test_nothing_that_identifies_is_left(mode: Mode) -> None:
    them = Identifiers(KEY, mode)
    post = them.post(POST, "e1")
    assert "ann" not in repr(post).replace("author='ann'", "")
    assert "109" not in repr(post)
    assert (post.url, post.meta, post.topics) == (None, {}, ("joy",))
    assert "me@x.example" in post.text  # an address is no mention; texts may be left out whole
    dead_letter = them.dead_letter(DEAD_LETTER)
    assert dead_letter.value is None
    assert b"ann" not in repr((dead_letter.key, dead_letter.headers)).encode()
    assert dead_letter.headers == RECORD.headers[1:]
    assert (dead_letter.topic, dead_letter.partition, dead_letter.offset) == ("posts", 1, 2)


def test_hashes_keep_apart_and_together_what_was() -> None:
    them, others = Identifiers(KEY, "hash"), Identifiers(KEY[::-1], "hash")
    post = them.post(POST, "e1")
    first, *_, last = post.text.split()
    assert first == last
    assert len(post.id) == 32
    assert post.id == them.post(POST, "e2").id != others.post(POST, "e1").id
    assert them.key(b"ann", "x") == them.key(b"ann", "y") != them.key(b"bob", "x")
    assert them.author("mastodon", "ann") == Identifiers(KEY).author("mastodon", "ann")


def test_dropped_ids_and_keys_are_the_events() -> None:
    them = Identifiers(KEY, "drop")
    post = them.post(POST, "e1")
    assert post.id == "e1"
    assert them.key(b"ann", post.id) == b"e1"
    assert them.author("mastodon", "ann") is None
    assert post.text.startswith("@… and @…, mail")


def test_a_withheld_dead_letter_says_so_in_its_headers() -> None:
    dead_letter = Identifiers("", "drop").dead_letter(DEAD_LETTER)
    assert read_dead_letter(
        dead_letter.key, dead_letter.value, dead_letter_headers(dead_letter)
    ).withheld
    assert not read_dead_letter(b"k", b"v", dead_letter_headers(DEAD_LETTER)).withheld


@pytest.mark.parametrize("more", [{}, {"author_key": KEY}])
def test_hashing_needs_a_key(more: dict[str, Any]) -> None:
    if more:
        assert Output(identifiers="hash", **more).identifiers == "hash"
    else:
        with pytest.raises(ValueError, match="needs author_key"):
            Output(identifiers="hash")


def test_a_repr_shows_no_key() -> None:
    assert KEY not in repr(Identifiers(KEY, "hash"))
