"""What servers of every kind say over HTTP: bodies within bounds, and when to come again."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, urlsplit

import aiohttp

MOST_WAIT_S = 3_600.0
"""A server that asks for a longer pause is asked again after this one."""


class BodyTooLarge(Exception):  # noqa: N818 - what it is, not that it is an error
    """More than was agreed to read, after decompression."""


def address(url: str) -> SplitResult | None:
    """Take an address apart that somebody typed; None where no connection can be made to it."""
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0  # `port` raises where it is over 65,535
    except ValueError:
        return None
    return parts if usable and not any(c.isspace() for c in parts.netloc) else None


async def bounded_body(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Read a body of at most `most` bytes.

    Raises:
        BodyTooLarge: it has more.
        aiohttp.ClientError, TimeoutError: it broke off.
    """
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > most:
            raise BodyTooLarge
        parts.append(part)
    return b"".join(parts)


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Give the seconds that a server asks to wait, by `Retry-After` or `X-RateLimit-Reset`.

    Both forms of the first (RFC 9110, 10.2.3); the second as Mastodon writes it, a time. Between 1
    and 3,600; None where it asks for nothing that can be read.
    """
    for name in ("Retry-After", "X-RateLimit-Reset"):
        value = headers.get(name, "").strip()
        if not value:
            continue
        wait = _seconds(value, now)
        if wait is not None and math.isfinite(wait):
            return min(max(wait, 1.0), MOST_WAIT_S)
    return None


def _seconds(value: str, now: float) -> float | None:
    if value.isascii() and value.isdigit():
        return float(value[:12])
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(value)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.timestamp() - now
    return None


def said(error: BaseException) -> str:
    """Name an error of a connection, in the operating system's words where there are some."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name can't be resolved"
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.strerror:
        return error.os_error.strerror
    return type(error).__name__
