"""The Jetstream hosts, and which one's turn it is."""

from collections.abc import Sequence

from producer.live.http import address

HOSTS = (
    "jetstream.us-east.bsky.network",
    "jetstream.us-west.bsky.network",
    "jetstream1.us-east.bsky.network",
    "jetstream2.us-east.bsky.network",
    "jetstream1.us-west.bsky.network",
    "jetstream2.us-west.bsky.network",
)
"""Bluesky's public instances: version 2 first, then the older ones
(github.com/bluesky-social/jetstream)."""

_PATH = "/subscribe"


def host_url(host: str) -> str:
    """Give a host's address: `wss://HOST/subscribe` unless it names scheme or path itself.

    Raises:
        ValueError: it is no host, and no ws:// or wss:// address.
    """
    if any(one in host for one in "@?#"):  # before anything that would show them
        raise ValueError(
            "--host: an address without credentials and options; Jetstream needs neither"
        )
    parts = address(host if "://" in host else f"wss://{host}")
    if parts is None or parts.scheme not in ("ws", "wss"):
        raise ValueError(f"--host {host!r}: name a host, or an address ws://… or wss://…")
    path = parts.path if parts.path not in ("", "/") else _PATH
    return f"{parts.scheme}://{parts.netloc}{path}"


class Hosts:
    """Addresses in turn, without those that asked to be left alone for a while."""

    def __init__(self, urls: Sequence[str]) -> None:
        """At least one."""
        self._urls = tuple(urls)
        self._turn = 0
        self._free_at = [0.0] * len(self._urls)

    def __len__(self) -> int:
        return len(self._urls)

    @property
    def current(self) -> str:
        """The one that is used."""
        return self._urls[self._turn]

    def leave(self, now: float, *, for_s: float = 0.0) -> float:
        """Go to the next, and don't come back for `for_s` seconds; `now` is monotonic time.

        Gives the seconds to wait for the next: more than 0 where all have asked to wait; then it is
        the one that is free first.
        """
        self._free_at[self._turn] = now + for_s
        size = len(self._urls)
        following = [(self._turn + step) % size for step in range(1, size + 1)]
        self._turn = min(following, key=lambda turn: max(0.0, self._free_at[turn] - now))
        return max(0.0, self._free_at[self._turn] - now)


def default_urls() -> list[str]:
    """Give the addresses of Bluesky's public instances."""
    return [host_url(host) for host in HOSTS]
