"""What goes to browsers and comes from them, as JSON."""

import gzip
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, UnsetType

from monitor.page.data import AlertView, Columns, MuteView, Pipe, TrackState
from schemas.event import AffectEvent

MAX_TEXT = 4_000
"""Characters of a post that are shown; the longest posts that people read in a list are shorter."""
_MAX_URL = 2_000
_PSEUDONYM = 10  # characters: enough to tell authors apart on one screen


class Spark(msgspec.Struct, frozen=True, kw_only=True):
    """24 hours of a track in quarters of an hour, oldest first."""

    start: int
    """Unix seconds of the first."""
    negative_share: tuple[float | None, ...]


class State(msgspec.Struct, frozen=True, kw_only=True):
    """All that the page shows first."""

    id: str
    """Of the last change that it holds: what comes after it is asked for with this."""
    now: datetime
    tracks: tuple[TrackState, ...]
    sparks: dict[str, Spark]
    alerts: tuple[AlertView, ...]
    mutes: tuple[MuteView, ...]
    pipe: Pipe
    actions: bool
    problems: tuple[str, ...] = ()
    """What is wrong with the page itself."""


class MinuteChange(msgspec.Struct, frozen=True, kw_only=True, tag="minutes"):
    """Minutes of a track, which replace those of the same time."""

    columns: Columns


class QuarterChange(msgspec.Struct, frozen=True, kw_only=True, tag="quarter"):
    """A quarter of an hour of a track's small curve: it replaces the one of the same time."""

    track: str
    start: int
    """Unix seconds."""
    negative_share: float | None


class Post(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stranger's post; nothing of it is markup."""

    id: str
    """Of the event."""
    created_at: datetime
    source: str | None = None
    author: str | None = None
    """The beginning of the pseudonym."""
    lang: str | None = None
    url: str | None = None
    """http or https, else it isn't here."""
    text: str | None = None
    cut: bool = False
    valence: float | None = None
    emotions: tuple[str, ...] = ()
    model: str | None = None


class PostList(msgspec.Struct, frozen=True, kw_only=True):
    """The posts behind a moment or an alert."""

    posts: tuple[Post, ...]
    total: int
    note: str | None = None


class SayAsk(msgspec.Struct, frozen=True, kw_only=True, tag="say", forbid_unknown_fields=True):
    """Someone says something of an alert."""

    alert_id: Annotated[str, Meta(min_length=1, max_length=100)]
    action: Literal["ack", "note", "false"]
    name: Annotated[str, Meta(max_length=80)] = ""
    note: Annotated[str, Meta(max_length=2_000)] = ""


class MuteAsk(msgspec.Struct, frozen=True, kw_only=True, tag="mute", forbid_unknown_fields=True):
    """Someone mutes a track."""

    track: Annotated[str, Meta(min_length=1, max_length=200)]
    until: Annotated[datetime, Meta(tz=True)] | None = None
    weekly: Annotated[str, Meta(max_length=200)] | None = None
    zone: Annotated[str, Meta(max_length=64)] | None = None
    name: Annotated[str, Meta(max_length=80)] = ""
    note: Annotated[str, Meta(max_length=2_000)] = ""


class UnmuteAsk(
    msgspec.Struct, frozen=True, kw_only=True, tag="unmute", forbid_unknown_fields=True
):
    """Someone ends a track's mute."""

    track: Annotated[str, Meta(min_length=1, max_length=200)]
    name: Annotated[str, Meta(max_length=80)] = ""


Ask: TypeAlias = SayAsk | MuteAsk | UnmuteAsk


class Payload:
    """JSON that many ask for: encoded once, compressed once."""

    def __init__(self, content: Any) -> None:
        self.raw = msgspec.json.encode(content)
        self.gzipped = gzip.compress(self.raw, 5, mtime=0)


def shown(event: AffectEvent) -> Post:
    """What the page shows of a post."""
    text = event.text
    sentiment = event.sentiment
    valence = None if isinstance(sentiment, UnsetType) else sentiment.valence
    return Post(
        id=event.id,
        created_at=event.created_at,
        source=event.source,
        author=event.author[:_PSEUDONYM] if event.author else None,
        lang=event.lang,
        url=_link(event.url),
        text=text[:MAX_TEXT] if text is not None else None,
        cut=text is not None and len(text) > MAX_TEXT,
        valence=None if isinstance(valence, UnsetType) else valence,
        emotions=() if isinstance(event.emotions, UnsetType) else event.emotions,
        model=event.model.id,
    )


def _link(url: str | None) -> str | None:
    """The address of a post, where a browser may be sent there."""
    if url is None or len(url) > _MAX_URL or not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        web = parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return None
    return url if web else None
