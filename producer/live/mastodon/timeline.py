"""Which timelines are read, and where the two APIs have them (docs.joinmastodon.org/methods)."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

From: TypeAlias = Literal["all", "local", "remote"]

_TAG = re.compile(r"[\w·]+")
_SHIFT = 16
"""An id is milliseconds of Unix time, shifted, and 16 bits beside (Mastodon's snowflake.rb)."""


class Timeline(NamedTuple):
    """One stream and the timeline that holds the same posts."""

    label: str
    """`public`, `local`, `remote` or `tag/x`."""
    stream: str
    """Path below /api/v1/streaming/."""
    stream_params: Mapping[str, str]
    path: str
    """Path below /api/v1/timelines/."""
    params: Mapping[str, str]
    feeds: str
    """What its settings call this kind of timeline."""
    sides: tuple[str, ...]
    """Whose posts it has: `local`, `remote`."""


def timelines(which: From, hashtags: Sequence[str]) -> list[Timeline]:
    """Give the timeline of the public, or one for each hashtag.

    Raises:
        ValueError: something is no hashtag.
    """
    sides = ("local", "remote") if which == "all" else (which,)
    params: dict[str, dict[str, str]] = {
        "all": {},
        "local": {"local": "true"},
        "remote": {"remote": "true"},
    }
    if not hashtags:
        stream = "public" if which == "all" else f"public/{which}"
        label = "public" if which == "all" else which
        return [Timeline(label, stream, {}, "public", params[which], "live_feeds", sides)]
    found = []
    for given in dict.fromkeys(tag.removeprefix("#").lower() for tag in hashtags):
        if not _TAG.fullmatch(given):
            raise ValueError(f"--hashtag {given}: letters, digits and underscores only")
        stream = "hashtag/local" if which == "local" else "hashtag"
        found.append(
            Timeline(
                label=f"tag/{given}",
                stream=stream,
                stream_params={"tag": given},
                path=f"tag/{given}",
                params=params[which],
                feeds="hashtag_feeds",
                sides=sides,
            )
        )
    return found


def time_of_id(status_id: object) -> int | None:
    """Give the time in an id, Unix microseconds; None for the ids of other servers."""
    if not isinstance(status_id, str) or not (status_id.isascii() and status_id.isdigit()):
        return None
    if len(status_id) > 20:
        return None
    milliseconds = int(status_id) >> _SHIFT
    return milliseconds * 1000 if milliseconds > 0 else None


def id_at(time_us: int) -> int:
    """Give the first id of a time in Unix microseconds."""
    return (max(time_us, 0) // 1000) << _SHIFT
