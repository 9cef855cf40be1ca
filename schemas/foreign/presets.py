"""Where networks that everybody reads keep a post's parts, and which of their records are none.

Written after each network's own documentation of its API.
"""

# Membership is asked of tuples: a record may hold a list where a text belongs, and a set would
# raise on what can't be hashed.

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import msgspec

from schemas.foreign.paths import DottedPath

NOT_A_POST = "not_a_post"
DELETE = "delete"
REPOST = "repost"
OPTED_OUT = "opted_out"

_AT_POSTS = "app.bsky.feed.post"
_HIDDEN = "!no-unauthenticated"
"""Bluesky's label by which an author asks not to be shown to people who aren't signed in."""


class Preset(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One network's shape."""

    name: str
    """Also the `source` of its posts."""
    find: Mapping[str, Callable[[Any], Any]]
    """A post's field to where it is found."""
    skip: Callable[[dict[str, Any]], str | None]
    """The rule by which a record is no post; None for a post."""
    unwrap: Callable[[dict[str, Any]], dict[str, Any]] = lambda tree: tree
    """Takes the envelope off."""


def _path(dotted: str) -> Callable[[Any], Any]:
    return DottedPath(dotted).find


# ---- Mastodon: a Status, alone or in the envelope of the streaming API
# (docs.joinmastodon.org/entities/Status, docs.joinmastodon.org/methods/streaming)

_UPDATES = ("update", "status.update")


def _mastodon_unwrap(tree: dict[str, Any]) -> dict[str, Any]:
    payload = tree.get("payload")
    if tree.get("event") not in _UPDATES or payload is None:
        return tree
    if isinstance(payload, str):  # the websocket's: JSON in JSON
        payload = msgspec.json.decode(payload)
    return payload if isinstance(payload, dict) else tree


def _mastodon_skip(tree: dict[str, Any]) -> str | None:
    if "event" in tree and "payload" in tree:
        return DELETE if tree["event"] == "delete" else NOT_A_POST
    return REPOST if tree.get("reblog") is not None else None


def _mastodon_text(tree: dict[str, Any]) -> Any:
    content, warning = tree.get("content"), tree.get("spoiler_text")
    if isinstance(content, str) and isinstance(warning, str) and warning:
        if content and not content.startswith("<"):
            return f"{warning}\n{content}"
        # Markup stays markup; the warning before it is plain text, and `<rant>` a word of it.
        return f"<p>{escape(warning, quote=False)}</p>{content}"
    return content


_MASTODON = Preset(
    name="mastodon",
    unwrap=_mastodon_unwrap,
    skip=_mastodon_skip,
    find={
        "id": _path("uri"),
        "text": _mastodon_text,
        "author": _path("account.acct"),
        "created_at": _path("created_at"),
        "lang": _path("language"),
        "url": _path("url"),
        "topics": _path("tags.*.name"),
    },
)


# ---- Bluesky: a message of Jetstream (github.com/bluesky-social/jetstream, docs/README.md)


def _bluesky_skip(tree: dict[str, Any]) -> str | None:
    commit = tree.get("commit")
    if tree.get("kind") != "commit" or not isinstance(commit, dict):
        return NOT_A_POST
    if commit.get("collection") != _AT_POSTS:
        return NOT_A_POST
    if commit.get("operation") == "delete":
        return DELETE
    if commit.get("operation") not in ("create", "update"):
        return NOT_A_POST
    labels = _LABELS(tree)
    return OPTED_OUT if isinstance(labels, list) and _HIDDEN in labels else None


_LABELS = _path("commit.record.labels.values.*.val")
_DID, _RKEY = _path("did"), _path("commit.rkey")


def _at_uri(tree: dict[str, Any]) -> str | None:
    did, rkey = _DID(tree), _RKEY(tree)
    if isinstance(did, str) and isinstance(rkey, str) and did and rkey:
        return f"at://{did}/{_AT_POSTS}/{rkey}"
    return None


def _bluesky_url(tree: dict[str, Any]) -> str | None:
    did, rkey = _DID(tree), _RKEY(tree)
    if isinstance(did, str) and isinstance(rkey, str):
        return f"https://bsky.app/profile/{did}/post/{rkey}"
    return None


_BLUESKY = Preset(
    name="bluesky",
    skip=_bluesky_skip,
    find={
        "id": _at_uri,
        "text": _path("commit.record.text"),
        "author": _DID,
        # Not the record's createdAt: that is what the author claims.
        "created_at": _path("time_us"),
        "lang": _path("commit.record.langs.0"),
        "url": _bluesky_url,
        "topics": _path("commit.record.facets.*.features.*.tag"),
    },
)


# ---- Reddit: one child of a listing, a comment (t1) or a submission (t3), alone or in its
# envelope (www.reddit.com/dev/api, github.com/reddit-archive/reddit/wiki/JSON)

_GONE = ("[deleted]", "[removed]")


def _reddit_unwrap(tree: dict[str, Any]) -> dict[str, Any]:
    data = tree.get("data")
    return data if tree.get("kind") in ("t1", "t3") and isinstance(data, dict) else tree


def _reddit_skip(tree: dict[str, Any]) -> str | None:
    if "kind" in tree and isinstance(tree.get("data"), dict):
        return NOT_A_POST  # an account, a subreddit, "more", a whole listing
    return DELETE if tree.get("body") in _GONE or tree.get("selftext") in _GONE else None


def _reddit_text(tree: dict[str, Any]) -> Any:
    if "body" in tree:
        return tree["body"]
    title, more = tree.get("title"), tree.get("selftext")
    if isinstance(title, str) and isinstance(more, str) and more:
        return f"{title}\n\n{more}"
    return title


def _reddit_author(tree: dict[str, Any]) -> Any:
    author = tree.get("author")
    return None if author == "[deleted]" else author


def _reddit_url(tree: dict[str, Any]) -> str | None:
    link = tree.get("permalink")
    return f"https://www.reddit.com{link}" if isinstance(link, str) and link else None


def _reddit_topics(tree: dict[str, Any]) -> list[Any]:
    return [tree["subreddit"]] if tree.get("subreddit") else []


_REDDIT = Preset(
    name="reddit",
    unwrap=_reddit_unwrap,
    skip=_reddit_skip,
    find={
        "id": _path("name"),
        "text": _reddit_text,
        "author": _reddit_author,
        "created_at": _path("created_utc"),
        "url": _reddit_url,
        "topics": _reddit_topics,
    },
)

PRESETS: dict[str, Preset] = {one.name: one for one in (_MASTODON, _BLUESKY, _REDDIT)}
