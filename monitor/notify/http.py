"""One POST to a target: no redirect is followed, and no error says the address."""

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import aiohttp

from monitor.notify.target import Rejected, Unavailable

_MAX_RETRY_AFTER_S = 3_600.0
"""A target that asks for more is tried sooner: its message would be given up by then."""


class Poster:
    """Posts bodies to one address over one session."""

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """POST; return when it answered 2xx.

        Raises:
            Unavailable: no answer in time, 429 or 5xx.
            Rejected: any other answer, a redirect included.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar()
            )
        try:
            async with self._session.post(
                url, data=body, headers=headers, allow_redirects=False
            ) as response:
                status = response.status
                retry_after_s = _retry_after_s(response.headers)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            # The error's own words may hold the address.
            raise Unavailable(f"no answer ({type(error).__name__})") from None
        if 200 <= status < 300:
            return
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= 500:
            raise Unavailable(f"it answered {status}", retry_after_s=retry_after_s)
        if 300 <= status < 400:
            raise Rejected(f"it answered {status}: redirects are not followed, name the address")
        raise Rejected(f"it answered {status}")

    async def aclose(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Both forms of `Retry-After` (RFC 9110, 10.2.3); a time is the target's, as its `Date` is."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:12]), _MAX_RETRY_AFTER_S)
    try:
        then, now = (
            parsedate_to_datetime(text).replace(tzinfo=UTC)
            for text in (value, headers.get("Date", ""))
        )
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max((then - now).total_seconds(), 0.0), _MAX_RETRY_AFTER_S)
