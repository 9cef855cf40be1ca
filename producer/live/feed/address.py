"""Addresses of feeds: which are fetched, and what of them is shown."""

import ipaddress
from hashlib import blake2b
from urllib.parse import urljoin, urlsplit

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


def redirected(url: str, location: str) -> str | None:
    """Give where a redirect leads; None where it must not be followed.

    Not to anything but http(s), not from TLS to none, and not from the world to an address that is
    written as one of this machine's or a private network's.
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
    if _is_private(after.hostname) and not _is_private(before.hostname or ""):
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


def _is_private(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False
