"""Mastodon: the streaming API, and its timelines for what was missed."""

from producer.live.mastodon.run import MastodonFilter, Server, instance_url, run_mastodon
from producer.live.mastodon.timeline import Timeline, timelines

__all__ = [
    "MastodonFilter",
    "Server",
    "Timeline",
    "instance_url",
    "run_mastodon",
    "timelines",
]
