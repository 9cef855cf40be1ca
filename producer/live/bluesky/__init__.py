"""Bluesky by Jetstream: `BlueskySource` over several hosts, `AiohttpJetstream` for the wire."""

from producer.live.bluesky.connection import (
    AiohttpJetstream,
    Connection,
    Jetstream,
    jetstream_session,
)
from producer.live.bluesky.hosts import HOSTS, default_urls, host_url
from producer.live.bluesky.message import MessageReader
from producer.live.bluesky.source import BlueskyOptions, BlueskySource

__all__ = [
    "HOSTS",
    "AiohttpJetstream",
    "BlueskyOptions",
    "BlueskySource",
    "Connection",
    "Jetstream",
    "MessageReader",
    "default_urls",
    "host_url",
    "jetstream_session",
]
