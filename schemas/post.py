"""What comes in: one social-media post."""

from datetime import datetime
from typing import Annotated, Any

import msgspec


class Post(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A social-media post as it is on an input topic.

    Only `id` and `text` are required; unknown fields are ignored. A topic of another shape is
    read through the consumer's field mapping, which yields this.
    """

    id: Annotated[str, msgspec.Meta(min_length=1)]
    """The post's id at its source: opaque, not empty."""
    text: str
    """What was written. Empty or blank text is refused by the consumer, with a dead letter."""
    source: str | None = None
    """Where it was posted, e.g. `mastodon`."""
    author: str | None = None
    """The author's handle or id at the source. It leaves the consumer only as a keyed hash."""
    created_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """When it was posted (RFC 3339 with an offset). The Kafka record's timestamp where absent."""
    lang: str | None = None
    """BCP 47 language tag, as the source gives it."""
    url: str | None = None
    topics: tuple[str, ...] = ()
    """What the post is about: hashtags, a query, a brand. Carried into the event."""
    meta: dict[str, Any] = {}
    """Carried into the event as it is."""
