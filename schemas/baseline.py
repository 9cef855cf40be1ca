"""What the monitor has learnt of a track, so that a restart needn't learn it again."""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from schemas.event import NotEmpty, Timestamp

MadeBy: TypeAlias = Literal["name", "topics", "source", "lang"]
"""`name`: the configuration names the track; else what its posts have in common."""


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """A track's detector at one moment (version 1). The record's key is `track`."""

    version: Literal[1]
    track: NotEmpty
    at: Timestamp
    """Wall clock."""
    closed_until: Annotated[int, Meta(ge=0)]
    """Unix seconds of event time: the end of the last window that it knows."""
    windows: dict[str, Annotated[int, Meta(ge=0)]]
    """Partition of the windows' topic to the offset from which on windows are to be added."""
    by: MadeBy | UnsetType = UNSET
    """What made it a track; absent in what older versions wrote."""
    rule: str | UnsetType = UNSET
    """Digest of what the configuration gives a named track; absent in what older versions wrote."""
    since: dict[str, Annotated[int, Meta(ge=0)]] | UnsetType = UNSET
    """Partition of the windows' topic to the offset before which windows of this name are another
    track's: one with other conditions, or made by something else; absent in what older versions
    wrote."""
    state: bytes
    """The detector's own form; base64 in JSON. Empty: the track had no posts yet."""
