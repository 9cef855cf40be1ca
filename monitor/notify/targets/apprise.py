"""A hundred other services, by the library apprise (the extra `notify`)."""

import asyncio
import logging

import apprise

from monitor.notify.message import Notification
from monitor.notify.settings import NotifySettings
from monitor.notify.target import Rejected, Unavailable

_TYPES = {
    "info": apprise.NotifyType.INFO,
    "warning": apprise.NotifyType.WARNING,
    "critical": apprise.NotifyType.FAILURE,
}


class Apprise:
    """Hands title and text to apprise, which says only whether it went well.

    It logs addresses: its logger is switched off.
    """

    interval_s = 1.0
    """Of most chat services' own limits, the usual one."""

    def __init__(self, settings: NotifySettings) -> None:
        self.name = settings.name
        self._timeout_s = settings.timeout_s
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        self._apprise = apprise.Apprise()
        if not self._apprise.add(settings.urls[0]):
            raise ValueError(f"monitor.notify {self.name}: apprise can't read url")

    async def deliver(self, notification: Notification) -> None:
        """Send it; see `Target.deliver`."""
        text = "\n".join([*notification.lines, *(f"> {one}" for one in notification.examples)])
        if notification.link is not None:
            text = f"{text}\n{notification.link}"
        try:
            async with asyncio.timeout(self._timeout_s):
                taken = await self._apprise.async_notify(
                    title=notification.title,
                    body=text,
                    notify_type=_TYPES[notification.severity],
                    body_format=apprise.NotifyFormat.TEXT,
                )
        except TimeoutError:
            raise Unavailable(f"no answer within {self._timeout_s:g} s") from None
        except TypeError:  # apprise's word for a notification that it can't make
            raise Rejected("apprise can't make this notification") from None
        if not taken:
            raise Unavailable("apprise says that it was not taken")

    async def aclose(self) -> None:
        """Nothing is kept open."""
