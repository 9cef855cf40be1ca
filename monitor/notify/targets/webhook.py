"""Any service of one's own: JSON, signed after the Standard Webhooks specification."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime

import msgspec

from monitor.notify.http import Poster
from monitor.notify.message import Notification
from monitor.notify.settings import NotifySettings, signing_key
from runtime.clock import Clock
from runtime.settings import is_set


class Webhook:
    """POSTs `{"type": "emostream.alert", "timestamp": …, "data": {…}}`.

    `data` has `track`, `severity`, `title`, `lines`, `link` and `alerts` (schemas/json/alert.v1).
    With a secret, `webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over
    `{webhook-id}.{webhook-timestamp}.{body}` (https://www.standardwebhooks.com). `webhook-id` is
    the notification's id, so that a receiver drops what it has had.
    """

    interval_s = 0.0

    def __init__(self, settings: NotifySettings, *, clock: Clock) -> None:
        self.name = settings.name
        self._url = settings.urls[0]
        self._clock = clock
        self._poster = Poster(timeout_s=settings.timeout_s)
        self._key = (
            signing_key(settings.secret.get_secret_value()) if is_set(settings.secret) else None
        )

    async def deliver(self, notification: Notification) -> None:
        """POST it; see `Target.deliver`."""
        now = self._clock.wall()
        body = msgspec.json.encode(
            {
                "type": "emostream.alert",
                "timestamp": datetime.fromtimestamp(now, UTC),
                "data": {
                    "track": notification.track,
                    "severity": notification.severity,
                    "title": notification.title,
                    "lines": notification.lines,
                    "examples": notification.examples,
                    "link": notification.link,
                    "alerts": notification.alerts,
                },
            }
        )
        stamp = str(int(now))
        headers = {
            "Content-Type": "application/json",
            "webhook-id": notification.id,
            "webhook-timestamp": stamp,
        }
        if self._key is not None:
            signed = f"{notification.id}.{stamp}.".encode() + body
            digest = hmac.new(self._key, signed, hashlib.sha256).digest()
            headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
        await self._poster.post(self._url, body, headers)

    async def aclose(self) -> None:
        """Close its connections."""
        await self._poster.aclose()
