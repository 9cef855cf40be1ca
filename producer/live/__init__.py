"""Live sources: Bluesky, Mastodon, feeds, each an endless iterator of items, published one way.

A source speaks its network's protocol and yields items (`items`, `source`); the publisher writes
them to Kafka and remembers what it wrote (`publisher`, `sent`, `mark`); the service runs both, and
goes on after a fault from what Kafka acknowledged (`service`, `resume`).
"""

from producer.live.items import Found, Gone, Item, Passed
from producer.live.service import LiveReport, LiveSettings, run_live
from producer.live.source import Source, SourceFailed, SourceRefused

__all__ = [
    "Found",
    "Gone",
    "Item",
    "LiveReport",
    "LiveSettings",
    "Passed",
    "Source",
    "SourceFailed",
    "SourceRefused",
    "run_live",
]
