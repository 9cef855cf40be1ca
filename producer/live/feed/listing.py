"""JSON listings as posts: where the items are, and where each part of one is, by dotted paths."""

import json
from dataclasses import dataclass, field
from typing import Any

import msgspec

from producer.live.feed.fetcher import within_bounds
from producer.live.items import UNREADABLE, Found, Item, Passed
from producer.live.selection import Selection
from schemas.foreign import DottedPath, FieldPaths, Html, NotAPost, PostReader

SINCE = "{since}"
UNTIL = "{until}"
"""Placeholders of an address: Unix seconds."""

_decode = msgspec.json.Decoder().decode


class NotAListing(Exception):  # noqa: N818 - what it is, not that it is an error
    """No JSON, or no list where the items should be."""


@dataclass(frozen=True, kw_only=True)
class Mapping:
    """How a listing is read."""

    items: str
    """Dotted path of the list; empty where the answer itself is one."""
    fields: FieldPaths = field(default_factory=FieldPaths)
    html: Html = "auto"


def _tree(body: bytes) -> Any:
    """Decode JSON; by the standard library, too, which takes an answer with half a character.

    The item that holds it is then unreadable, not all of them.

    Raises:
        ValueError: it is none.
    """
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeError):
        return json.loads(body)


class ListingReader:
    """Reads answers of one address."""

    def __init__(self, mapping: Mapping, selection: Selection, *, source: str) -> None:
        """`source` is the posts' where they name none."""
        self._path = mapping.items
        self._find = DottedPath(mapping.items).find
        self._selection = selection
        self._reader = PostReader(mapping.fields, html=mapping.html, default_source=source)

    def read(self, body: bytes) -> list[Item]:
        """Read the items, oldest first as far as they say. Takes CPU: to be run in a thread.

        Raises:
            NotAListing: there is no list where it should be.
            Broken: there are too many.
        """
        try:
            tree = _tree(body)
        except (ValueError, RecursionError):
            raise NotAListing("no JSON") from None
        found = self._find(tree) if self._path else tree
        if not isinstance(found, list):
            raise NotAListing(f"no list at {self._path or 'its top'}")
        within_bounds(len(found))
        return sorted((self._item(one) for one in found), key=lambda item: item.position or 0)

    def _item(self, tree: Any) -> Item:
        try:
            post = self._reader.read(tree, position="").post
            msgspec.json.encode(post)
        except (NotAPost, UnicodeError):  # the latter: half of a character in UTF-16
            return Passed(reason=UNREADABLE)
        at = None if post.created_at is None else post.created_at.timestamp()
        position = None if at is None or at <= 0 else int(at * 1e6)
        reason = self._selection.passes_over(post, [post.lang] if post.lang else [])
        if reason is not None:
            return Passed(reason=reason, position=position, at=at)
        return Found(post=post, position=position, at=at)
