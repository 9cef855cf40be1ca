"""A status, read as an item: by the consumer's own preset, and by what its author wishes."""

import re
from collections.abc import Collection
from typing import Any

import msgspec

from producer.live.items import (
    BOT,
    NOT_A_POST,
    OPTED_OUT,
    OTHER_SIDE,
    UNREADABLE,
    Found,
    Gone,
    Item,
    Passed,
)
from producer.live.mastodon.timeline import time_of_id
from producer.live.selection import Selection
from schemas.foreign import (
    PRESETS,
    FieldPaths,
    NotAPost,
    PostReader,
    html_to_text,
    read_time,
)

_PRESET = PRESETS["mastodon"]
_NO_ROBOTS = re.compile(r"#no(bots?|index)\b", re.IGNORECASE)
"""What people write into their profiles, where the software has no switch for it."""
_MOST_NOTE = 20_000
"""Characters of a profile that are looked through; Mastodon allows 500."""

_decode = msgspec.json.Decoder().decode


class StatusReader:
    """Reads statuses and events of one instance by a selection."""

    def __init__(
        self,
        instance: str,
        selection: Selection,
        *,
        sides: Collection[str] = ("local", "remote"),
        bots: bool = False,
    ) -> None:
        """`instance` is its host, `sides` a timeline's; `bots`: automated accounts, too."""
        self._instance = instance
        self._selection = selection
        self._sides = frozenset(sides)
        self._bots = bots
        self._reader = PostReader(FieldPaths(), preset=_PRESET, html="always")

    def event(self, name: str, data: str) -> Item:
        """Read an event of the streaming API; never raises."""
        if name == "delete":
            return Gone(alias=self._alias(data.strip()))
        if name not in ("update", "status.update"):
            return Passed(reason=NOT_A_POST)
        try:
            tree = _decode(data.encode())
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return Passed(reason=UNREADABLE)
        return self.status(tree)

    def status(self, tree: Any) -> Item:
        """Read a status; never raises."""
        if not isinstance(tree, dict):
            return Passed(reason=UNREADABLE)
        position = time_of_id(tree.get("id"))
        edited, created = _time(tree.get("edited_at")), _time(tree.get("created_at"))
        at = edited or created
        version = "" if at is None else f"{at * 1e6:020.0f}"
        key = tree.get("uri")
        if not isinstance(key, str) or not key:
            return Passed(reason=UNREADABLE, position=position)
        reason = self._refuses(tree)
        if reason is None:
            try:
                post = self._reader.read(tree, position="").post
            except NotAPost:
                reason = UNREADABLE
            else:
                reason = self._selection.passes_over(post, [post.lang] if post.lang else [])
        if reason is not None:  # an edit to this takes the version before it back
            return Gone(key=key, version=version, reason=reason, position=position, at=at)
        if edited is not None:
            post = msgspec.structs.replace(post, meta={"edited_at": str(tree["edited_at"])})
        return Found(
            post=post,
            version=version,
            alias=self._alias(str(tree.get("id", ""))),
            position=position,
            at=at,
        )

    def _refuses(self, tree: dict[str, Any]) -> str | None:
        """Give the reason why a status must not be read."""
        rule = _PRESET.skip(tree)
        if rule is not None:
            return rule
        if tree.get("visibility") not in ("public", "unlisted", None):
            return OPTED_OUT
        account = tree.get("account")
        if not isinstance(account, dict):
            return UNREADABLE
        if account.get("noindex") is True or account.get("indexable") is False:
            return OPTED_OUT
        note = account.get("note")
        if isinstance(note, str) and _NO_ROBOTS.search(html_to_text(note[:_MOST_NOTE])):
            return OPTED_OUT
        return self._not_asked_for(account)

    def _not_asked_for(self, account: dict[str, Any]) -> str | None:
        # The server splits public timelines by side; a hashtag's stream has both.
        side = "remote" if "@" in str(account.get("acct")) else "local"
        if side not in self._sides:
            return OTHER_SIDE
        return BOT if account.get("bot") is True and not self._bots else None

    def _alias(self, status_id: str) -> str:
        return f"{self._instance}:{status_id[:64]}"


def _time(value: Any) -> float | None:
    try:
        return None if value is None else read_time(value).timestamp()
    except (ValueError, OverflowError):
        return None
