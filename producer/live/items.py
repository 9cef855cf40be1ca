"""What a source yields: a post or a new version of it, a deletion, or something passed over.

Positions are Unix microseconds on the source's own clock. A source yields them in about the order
of its stream; a replay goes back, which does no harm.
"""

from typing import TypeAlias

import msgspec

from schemas import Post


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A post, new or edited."""

    post: Post
    version: str = ""
    """Grows, as a text, with each edit of the post; empty where only the content tells versions
    apart."""
    alias: str = ""
    """Another name by which the source will speak of it, in a deletion."""
    position: int | None = None
    """Everything wanted before it was yielded already; None: it says nothing of that."""
    at: float | None = None
    """When it was written or edited by the source's clock, Unix seconds."""


class Gone(msgspec.Struct, frozen=True, kw_only=True):
    """A post, or all posts of an author, that must not be read any more."""

    key: str = ""
    """The post's id."""
    alias: str = ""
    """The post, by its other name."""
    author: str = ""
    """All posts of this author."""
    version: str = ""
    reason: str = "delete"
    """Why it is passed over where the post was never sent."""
    position: int | None = None
    at: float | None = None


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """Something of the stream that is no post to be sent."""

    reason: str
    """A metric's label: one of `SKIPPED`."""
    position: int | None = None
    at: float | None = None


Item: TypeAlias = Found | Gone | Passed

DELETE = "delete"
LANG = "lang"
KEYWORD = "keyword"
LABEL = "label"
OPTED_OUT = "opted_out"
BOT = "bot"
REPOST = "repost"
EMPTY = "empty"
UNREADABLE = "unreadable"
TOO_LARGE = "too_large"
REPLAYED = "replayed"
KNOWN = "known"
NOT_A_POST = "not_a_post"
OTHER_SIDE = "other_side"

SKIPPED: dict[str, str] = {
    DELETE: "the deletion of a post that was not sent, or is no longer remembered",
    LANG: "another language, or none",
    KEYWORD: "none of the keywords",
    LABEL: "a label that was named to be left out",
    OPTED_OUT: "the author doesn't want it read by strangers or machines",
    BOT: "an automated account",
    REPOST: "a boost of another post",
    EMPTY: "no text, such as a picture alone",
    UNREADABLE: "broken, or of a shape that nobody knows",
    TOO_LARGE: "larger than any post",
    REPLAYED: "older than was asked for",
    KNOWN: "sent before, in this version or a newer one, or by another feed",
    NOT_A_POST: "an account's news, and the like",
    OTHER_SIDE: "of the server's own people where others' were asked for, or the other way round",
}
"""Every reason to pass something over."""
