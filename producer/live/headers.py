"""The headers of a record from a live source: where it is in its stream, and how far all is safe.

After a crash the next start reads the topic's end and begins at the largest watermark. The largest
position would be wrong: an earlier record of another partition may not have been acknowledged.
"""

from collections.abc import Sequence

import msgspec

PREFIX = "__emostream.live."
SOURCE = f"{PREFIX}source"
"""Which source it came from."""
POSITION = f"{PREFIX}position"
"""Its own place in the stream, Unix microseconds."""
WATERMARK = f"{PREFIX}watermark"
"""Up to where Kafka has acknowledged everything of this source once it has acknowledged this
record, as known when it was sent."""
VERSION = f"{PREFIX}version"
"""Of the post."""
ALIAS = f"{PREFIX}alias"
"""Another name of the post, which a deletion may use."""


class LiveHeaders(msgspec.Struct, frozen=True, kw_only=True):
    """What a record says of its source."""

    source: str
    watermark: int
    position: int | None = None
    version: str = ""
    alias: str = ""

    def encoded(self) -> tuple[tuple[str, bytes], ...]:
        """As Kafka carries them."""
        found = [(SOURCE, self.source.encode()), (WATERMARK, b"%d" % self.watermark)]
        if self.position is not None:
            found.append((POSITION, b"%d" % self.position))
        if self.version:
            found.append((VERSION, self.version.encode()))
        if self.alias:
            found.append((ALIAS, self.alias.encode()))
        return tuple(found)


def read(headers: Sequence[tuple[str, bytes | None]]) -> LiveHeaders | None:
    """Read a record's headers; None where it is of no live source, or they can't be read."""
    found = {name: value for name, value in headers if name.startswith(PREFIX) and value}
    try:
        return LiveHeaders(
            source=found[SOURCE].decode(),
            watermark=int(found[WATERMARK]),
            position=int(found[POSITION]) if POSITION in found else None,
            version=found.get(VERSION, b"").decode(),
            alias=found.get(ALIAS, b"").decode(),
        )
    except (KeyError, ValueError):  # the latter: no number, no UTF-8
        return None
