"""Each preset reads payloads in the form that its network's documentation of the API shows.

The people, posts and addresses are made up.
"""

import json
from datetime import UTC, datetime
from typing import Any, Literal

import pytest

from consumer.analysis.decoder import Decoded, Decoder
from consumer.records import SKIP_RULES, Skip
from consumer.settings import Fields, Input
from schemas import DeadLetter, Post
from tests.consumer.records import make_record


def decoded(decoder: Decoder, payload: Any) -> Decoded | Skip | DeadLetter:
    return decoder.decode(make_record(json.dumps(payload).encode()))


def read(preset: Literal["mastodon", "bluesky", "reddit"], payload: Any, **more: Any) -> Post:
    found = decoded(Decoder(Input(preset=preset, **more)), payload)
    assert isinstance(found, Decoded), found
    return found.post


STATUS: dict[str, Any] = {
    "id": "103270115826048975",
    "created_at": "2026-01-08T03:48:33.901Z",
    "in_reply_to_id": None,
    "sensitive": False,
    "spoiler_text": "",
    "visibility": "public",
    "language": "en",
    "uri": "https://social.example/users/ann/statuses/103270115826048975",
    "url": "https://social.example/@ann/103270115826048975",
    "replies_count": 5,
    "content": (
        '<p>So <a href="https://social.example/tags/happy" class="mention hashtag" rel="tag">'
        "#<span>happy</span></a> &amp; proud!</p>"
    ),
    "reblog": None,
    "account": {"id": "1", "username": "ann", "acct": "ann@social.example", "bot": False},
    "media_attachments": [],
    "mentions": [],
    "tags": [{"name": "happy", "url": "https://social.example/tags/happy"}],
    "emojis": [],
}

CREATE: dict[str, Any] = {
    "did": "did:plc:made2up",
    "time_us": 1_779_719_009_157_119,
    "kind": "commit",
    "commit": {
        "rev": "3mmoojp4cd224",
        "operation": "create",
        "collection": "app.bsky.feed.post",
        "rkey": "3mmoojp4cd223",
        "record": {
            "$type": "app.bsky.feed.post",
            "createdAt": "1999-05-25T14:23:28.757Z",
            "langs": ["en", "de"],
            "text": "Good morning #world",
            "facets": [
                {
                    "index": {"byteStart": 13, "byteEnd": 19},
                    "features": [{"$type": "app.bsky.richtext.facet#tag", "tag": "world"}],
                }
            ],
        },
        "cid": "bafyreimadeup",
    },
}

COMMENT: dict[str, Any] = {
    "kind": "t1",
    "data": {
        "name": "t1_kabc12",
        "id": "kabc12",
        "author": "made_up",
        "body": "Couldn't agree more.",
        "subreddit": "coffee",
        "created_utc": 1_700_000_000.0,
        "permalink": "/r/coffee/comments/17x/brewing/kabc12/",
        "link_id": "t3_17x",
        "score": 3,
    },
}

SUBMISSION: dict[str, Any] = {
    "kind": "t3",
    "data": {
        "name": "t3_17x",
        "author": "made_up",
        "title": "Brewing at last",
        "selftext": "It took a year.",
        "is_self": True,
        "subreddit": "coffee",
        "created_utc": 1_700_000_000.0,
        "permalink": "/r/coffee/comments/17x/brewing/",
    },
}


def commit(**changes: Any) -> dict[str, Any]:
    return CREATE | {"commit": CREATE["commit"] | changes}


def test_a_mastodon_status() -> None:
    assert read("mastodon", STATUS) == Post(
        id="https://social.example/users/ann/statuses/103270115826048975",
        text="So #happy & proud!",
        source="mastodon",
        author="ann@social.example",
        created_at=datetime(2026, 1, 8, 3, 48, 33, 901_000, tzinfo=UTC),
        lang="en",
        url="https://social.example/@ann/103270115826048975",
        topics=("happy",),
    )


@pytest.mark.parametrize("event", ["update", "status.update"])
def test_a_mastodon_status_in_the_streams_envelope(event: str) -> None:
    envelope = {"stream": ["public"], "event": event, "payload": json.dumps(STATUS)}
    assert read("mastodon", envelope) == read("mastodon", STATUS)
    assert read("mastodon", envelope | {"payload": STATUS}) == read("mastodon", STATUS)


def test_a_mastodon_content_warning_is_part_of_the_text() -> None:
    assert read("mastodon", STATUS | {"spoiler_text": "good news"}).text == (
        "good news\n\nSo #happy & proud!"
    )


@pytest.mark.parametrize("content", ["<p>It rained.</p>", ""])
@pytest.mark.parametrize("warning", ["<rant>", "<script>", "if a<b", "<!-- long", "R&amp;D"])
def test_a_mastodon_content_warning_is_no_markup(warning: str, content: str) -> None:
    status = STATUS | {"spoiler_text": warning, "content": content}
    assert read("mastodon", status).text == "\n\n".join(
        (warning, *(["It rained."] if content else []))
    )


def test_a_bluesky_post_is_named_by_its_at_uri_and_dated_by_the_network() -> None:
    assert read("bluesky", CREATE) == Post(
        id="at://did:plc:made2up/app.bsky.feed.post/3mmoojp4cd223",
        text="Good morning #world",
        source="bluesky",
        author="did:plc:made2up",
        created_at=datetime.fromtimestamp(1_779_719_009.157119, UTC),
        lang="en",
        url="https://bsky.app/profile/did:plc:made2up/post/3mmoojp4cd223",
        topics=("world",),
    )
    assert read("bluesky", commit(operation="update")).id == read("bluesky", CREATE).id


def test_a_reddit_comment_with_and_without_its_envelope() -> None:
    expected = Post(
        id="t1_kabc12",
        text="Couldn't agree more.",
        source="reddit",
        author="made_up",
        created_at=datetime.fromtimestamp(1_700_000_000, UTC),
        url="https://www.reddit.com/r/coffee/comments/17x/brewing/kabc12/",
        topics=("coffee",),
    )
    assert read("reddit", COMMENT) == expected
    assert read("reddit", COMMENT["data"]) == expected


def test_a_reddit_submission_is_its_title_and_its_text() -> None:
    assert read("reddit", SUBMISSION).text == "Brewing at last\n\nIt took a year."
    link = {"kind": "t3", "data": SUBMISSION["data"] | {"selftext": ""}}
    assert read("reddit", link).text == "Brewing at last"


SKIPPED: dict[str, tuple[Literal["mastodon", "bluesky", "reddit"], Any, str]] = {
    "mastodon's delete": ("mastodon", {"event": "delete", "payload": "103270"}, "delete"),
    "mastodon's notification": (
        "mastodon",
        {"event": "notification", "payload": "{}"},
        "not_a_post",
    ),
    "mastodon's boost": ("mastodon", STATUS | {"reblog": STATUS}, "repost"),
    "bluesky's like": (
        "bluesky",
        commit(collection="app.bsky.feed.like", record={"$type": "app.bsky.feed.like"}),
        "not_a_post",
    ),
    "bluesky's delete": (
        "bluesky",
        CREATE
        | {
            "commit": {
                "rev": "3mmo",
                "operation": "delete",
                "collection": "app.bsky.feed.post",
                "rkey": "3mmoojp4cd223",
            }
        },
        "delete",
    ),
    "bluesky's identity": (
        "bluesky",
        {
            "did": "did:plc:made2up",
            "time_us": 1,
            "kind": "identity",
            "identity": {"did": "did:plc:made2up", "seq": 1, "time": "2026-05-25T14:23:28Z"},
        },
        "not_a_post",
    ),
    "bluesky's account": (
        "bluesky",
        {"did": "d", "time_us": 1, "kind": "account", "account": {"active": False, "did": "d"}},
        "not_a_post",
    ),
    "bluesky, not for strangers": (
        "bluesky",
        commit(
            record=CREATE["commit"]["record"]
            | {"labels": {"values": [{"val": "!no-unauthenticated"}]}}
        ),
        "opted_out",
    ),
    "reddit's deleted comment": (
        "reddit",
        {"kind": "t1", "data": COMMENT["data"] | {"body": "[deleted]"}},
        "delete",
    ),
    "reddit's more": ("reddit", {"kind": "more", "data": {"children": ["a"]}}, "not_a_post"),
}


@pytest.mark.parametrize(("preset", "payload", "rule"), SKIPPED.values(), ids=SKIPPED.keys())
def test_what_is_no_post_is_skipped_by_its_rule(
    preset: Literal["mastodon", "bluesky", "reddit"], payload: Any, rule: str
) -> None:
    assert decoded(Decoder(Input(preset=preset)), payload) == Skip(rule)
    assert rule in SKIP_RULES


def test_fields_override_a_preset_one_by_one() -> None:
    fields = Fields(id="id", author="", text="spoiler_text")
    found = read("mastodon", STATUS | {"spoiler_text": "short"}, fields=fields)
    assert (found.id, found.author, found.text) == ("103270115826048975", None, "short")
    assert found.lang == "en"
    assert read("mastodon", STATUS, default_source="ours").source == "ours"


RULES: dict[str, tuple[dict[str, Any], dict[str, Any], str | None]] = {
    "where holds": ({"where": {"kind": "post"}}, {"kind": "post"}, None),
    "where fails": ({"where": {"kind": "post"}}, {"kind": "like"}, "where"),
    "where absent": ({"where": {"kind": "post"}}, {}, "where"),
    "one of several values": ({"where": {"kind": ["post", "reply"]}}, {"kind": "reply"}, None),
    "all of several paths": (
        {"where": {"kind": "post", "public": True}},
        {"kind": "post", "public": False},
        "where",
    ),
    "true is not 1": ({"where": {"public": True}}, {"public": 1}, "where"),
    "a number": ({"where": {"version": 2}}, {"version": 2}, None),
    "any item of a list": ({"where": {"tags.*.name": "a"}}, {"tags": [{"name": "a"}]}, None),
    "ignore holds": ({"ignore": {"account.bot": True}}, {"account": {"bot": True}}, "ignore"),
    "ignore fails": ({"ignore": {"account.bot": True}}, {"account": {"bot": False}}, None),
    "language": ({"langs": ["en"]}, {"lang": "en-GB"}, None),
    "another language": ({"langs": ["en"]}, {"lang": "de"}, "langs"),
    "no language": ({"langs": ["en"]}, {}, "langs"),
    "the default language": ({"langs": ["en"], "default_lang": "en"}, {}, None),
}


@pytest.mark.parametrize(("options", "more", "rule"), RULES.values(), ids=RULES.keys())
def test_records_are_skipped_by_where_ignore_and_langs(
    options: dict[str, Any], more: dict[str, Any], rule: str | None
) -> None:
    found = decoded(Decoder(Input(**options)), {"id": "1", "text": "Hello."} | more)
    assert found == Skip(rule) if rule else isinstance(found, Decoded)


def test_a_record_that_a_rule_excludes_needs_neither_text_nor_id() -> None:
    assert decoded(Decoder(Input(where={"kind": "post"})), {"kind": "like"}) == Skip("where")


def test_a_stream_of_mostly_likes_holds_its_posts_and_no_dead_letter() -> None:
    like = commit(collection="app.bsky.feed.like", record={})
    decoder = Decoder(Input(preset="bluesky"))
    found = [decoded(decoder, CREATE if n % 20 == 0 else like) for n in range(400)]
    assert sum(isinstance(one, Decoded) for one in found) == 20
    assert not any(isinstance(one, DeadLetter) for one in found)
