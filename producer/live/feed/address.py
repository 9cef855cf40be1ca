"""Addresses of feeds: which are fetched, and what of them is shown."""

import ipaddress
from hashlib import blake2b
from urllib.parse import urljoin, urlsplit


def feed_url(url: str) -> str:
    """Check an address that somebody typed; give it back.

    Raises:
        ValueError: it is no http(s) address, or carries credentials.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
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


def shown(url: str) -> str:
    """Give an address without what may be a secret: user, password and query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2].lower()  # with the port: two of one host are two feeds
    return f"{host}{parts.path}"[:200]


def name_of(url: str) -> str:
    """Name the source at an address: what is shown, and a mark for the query that isn't."""
    query = urlsplit(url).query
    mark = f"#{blake2b(query.encode(), digest_size=4).hexdigest()}" if query else ""
    return f"feed:{shown(url)}{mark}"


def _is_private(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False
