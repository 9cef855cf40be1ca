"""A message of Jetstream, read as an item: by the preset that the consumer reads them with."""

from collections.abc import Collection
from typing import Any

import msgspec

from producer.live.items import (
    DELETE,
    LABEL,
    NOT_A_POST,
    TOO_LARGE,
    UNREADABLE,
    Found,
    Gone,
    Item,
    Passed,
)
from producer.live.selection import Selection
from schemas.foreign import PRESETS, DottedPath, FieldPaths, NotAPost, PostReader

_PRESET = PRESETS["bluesky"]
_COLLECTION = "app.bsky.feed.post"
MAX_MESSAGE_BYTES = 256 * 1024
"""Also asked of the host: a post has some kilobytes, and records on Bluesky may have 1 MB."""
_GONE = frozenset({"takendown", "suspended", "deleted", "deactivated"})
"""States of an account whose posts must not be shown
(atproto's com.atproto.sync.subscribeRepos#account)."""

_LAST_US = 10**17
"""In the year 5138: a time above it is none."""

_decode = msgspec.json.Decoder().decode
_LABELS = DottedPath("commit.record.labels.values.*.val").find
_LANGS = DottedPath("commit.record.langs").find


class Message(msgspec.Struct, frozen=True):
    """One message: what it means, and when it came to the host."""

    item: Item
    time_us: int = 0
    """0 where it can't be read."""
    wanted: bool = False
    """An event of the collection that was asked for: what shows that a host is not blind."""


class MessageReader:
    """Reads messages by a selection."""

    def __init__(self, selection: Selection, *, left_out_labels: Collection[str] = ()) -> None:
        """Posts whose authors put one of these labels on them are left out."""
        self._selection = selection
        self._left_out = frozenset(left_out_labels)
        self._reader = PostReader(FieldPaths(), preset=_PRESET)

    def read(self, data: bytes | None) -> Message:
        """Read a message; never raises, whatever came."""
        if data is not None and len(data) > MAX_MESSAGE_BYTES:
            return Message(Passed(reason=TOO_LARGE))
        tree = _tree(data)
        if tree is None:
            return Message(Passed(reason=UNREADABLE))
        time_us: int = tree["time_us"]
        commit = tree.get("commit")
        wanted = isinstance(commit, dict) and commit.get("collection") == _COLLECTION
        at = time_us / 1e6
        if not wanted:
            return Message(self._other(tree, tree["did"], at), time_us)
        assert isinstance(commit, dict)
        return Message(self._post(tree, commit, time_us, at), time_us, wanted=True)

    def _other(self, tree: dict[str, Any], did: str, at: float) -> Item:
        """Identity and account events, and collections that nobody asked for."""
        account = tree.get("account")
        if isinstance(account, dict) and account.get("active") is False:
            status = account.get("status")
            if isinstance(status, str) and status in _GONE:
                return Gone(author=did, reason=NOT_A_POST, at=at)
        return Passed(reason=NOT_A_POST, at=at)

    def _post(self, tree: dict[str, Any], commit: dict[str, Any], time_us: int, at: float) -> Item:
        rkey, rev = commit.get("rkey"), commit.get("rev")
        if not isinstance(rkey, str) or not rkey:
            return Passed(reason=UNREADABLE, position=time_us, at=at)
        key = f"at://{tree['did']}/{_COLLECTION}/{rkey}"
        version = rev if isinstance(rev, str) else ""

        def gone(reason: str) -> Gone:
            return Gone(key=key, version=version, reason=reason, position=time_us, at=at)

        rule = _PRESET.skip(tree)
        if rule is not None:
            # What is a post no longer, or not for us, takes its earlier version back.
            return gone(DELETE if commit.get("operation") == "delete" else rule)
        try:
            post = self._reader.read(tree, position="").post
        except NotAPost:
            return gone(UNREADABLE)
        labels = _texts(_LABELS(tree))
        if self._left_out.intersection(labels):
            return gone(LABEL)
        reason = self._selection.passes_over(post, _texts(_LANGS(tree)))
        if reason is not None:
            return gone(reason)
        if labels:
            post = msgspec.structs.replace(post, meta={**post.meta, "labels": labels})
        return Found(post=post, version=version, position=time_us, at=at)


def _tree(data: bytes | None) -> dict[str, Any] | None:
    """Decode a message; None for one without an account or a usable time."""
    try:
        tree = _decode(data or b"")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if not isinstance(tree, dict):
        return None
    time_us, did = tree.get("time_us"), tree.get("did")
    whole = type(time_us) is int and 0 < time_us < _LAST_US and isinstance(did, str) and did
    return tree if whole else None


def _texts(found: Any) -> list[str]:
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
