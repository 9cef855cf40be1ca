"""Feeds that are polled: RSS and Atom, and JSON listings by a mapping."""

from producer.live.feed.address import feed_url, host_of
from producer.live.feed.listing import Mapping
from producer.live.feed.run import FeedOptions, run_feeds

__all__ = ["FeedOptions", "Mapping", "feed_url", "host_of", "run_feeds"]
