"""Addresses of feeds: which are fetched, and what of them is shown."""

import ipaddress
from hashlib import blake2b
from urllib.parse import urljoin, urlsplit

from yarl import URL

from producer.live.http import address


def feed_url(url: str) -> str:
    """Check an address that somebody typed; give it back.

    Raises:
        ValueError: it is no http(s) address, or carries credentials.
    """
    parts = address(url)
    if parts is None:
        raise ValueError("an address is like https://HOST/PATH; one of these can't be read")
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{shown(url)}: an address begins with https:// or http://")
    if "@" in parts.netloc:
        raise ValueError(f"{shown(url)}: an address without credentials")
    return url


_NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""IPv4 addresses written as IPv6 (RFC 6052)."""


def redirected(url: str, location: str, *, to_private: bool = False) -> str | None:
    """Give where a redirect leads; None where it must not be followed.

    Not to anything but http(s), not from TLS to none, and, unless `to_private`, not from the world
    to an address that is written as one of this machine's or a private network's. (Names are
    `PublicResolver`'s affair.)
    """
    try:
        target = urljoin(url, location)
        before, after = urlsplit(url), urlsplit(target)
    except ValueError:
        return None
    if after.scheme not in ("http", "https") or not after.hostname or "@" in after.netloc:
        return None
    if before.scheme == "https" and after.scheme == "http":
        return None
    if not to_private and _is_private(target) and not _is_private(url):
        return None
    return target


def host_of(url: str) -> str:
    """Give an address's host, with the port: two of one host are two feeds."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()[:200]


def shown(url: str) -> str:
    """Give the host, and a mark for the rest: a path or a query may be a secret.

    The same address has the same mark, at each start and on each machine.
    """
    parts = urlsplit(url)
    rest = f"{parts.path}?{parts.query}" if parts.query else parts.path.rstrip("/")
    if not rest:
        return host_of(url)
    return f"{host_of(url)}~{blake2b(rest.encode(), digest_size=4).hexdigest()}"


def name_of(url: str, name: str = "") -> str:
    """Name the source at an address: as somebody chose, else what is shown of it."""
    return f"feed:{name or shown(url)}"


def is_local(host: str) -> bool:
    """Whether a name is this machine's by its meaning (RFC 6761, 6.3)."""
    name = host.rstrip(".").lower()
    return name == "localhost" or name.endswith(".localhost")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet, however it is wrapped in IPv6."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        within = found.ipv4_mapped or found.sixtofour
        if within is None and found in _NAT64:
            within = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        found = within or found
    return found.is_global and not found.is_multicast


def _is_private(url: str) -> bool:
    """Whether an address is written as a private one, by what the connection is made to."""
    try:
        host = URL(url).raw_host or ""  # circled digits and the like are figures for it
    except ValueError:
        return True
    # `127.1` and `2130706433` are addresses for the system, and for no resolver of ours.
    literal = ":" in host or host.replace(".", "").isdigit()
    return is_local(host) or (literal and not is_public(host))
