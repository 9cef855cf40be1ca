"""Slack, by an incoming webhook."""

import msgspec

from monitor.notify.http import Poster
from monitor.notify.message import Notification
from monitor.notify.settings import NotifySettings

_SECTION_CHARS = 3_000
"""Slack's bound on a section's text."""
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
"""What Slack asks to escape; with `<` gone, no `<!channel>` or `<@U…>` mentions anybody."""
_MARKS = str.maketrans(dict.fromkeys("*_~`", "\u2060"))
"""Strangers' words don't format ours: Slack has no escape for these."""


class Slack:
    """POSTs one message of blocks. Links don't unfurl: the page's address is no public thing."""

    interval_s = 1.0
    """An incoming webhook takes one message a second."""

    def __init__(self, settings: NotifySettings) -> None:
        self.name = settings.name
        self._url = settings.urls[0]
        self._poster = Poster(timeout_s=settings.timeout_s)

    async def deliver(self, notification: Notification) -> None:
        """POST it; see `Target.deliver`."""
        await self._poster.post(
            self._url,
            msgspec.json.encode(_payload(notification)),
            {"Content-Type": "application/json"},
        )

    async def aclose(self) -> None:
        """Close its connections."""
        await self._poster.aclose()


def _payload(notification: Notification) -> dict[str, object]:
    blocks: list[dict[str, object]] = [
        _section(f"*{_escaped(notification.title).translate(_MARKS)}*"),
        _section("\n".join(_escaped(line) for line in notification.lines)),
    ]
    if notification.examples:
        quoted = "\n".join(f"> {_escaped(one).translate(_MARKS)}" for one in notification.examples)
        blocks.append(_section(quoted))
    if notification.link is not None:
        blocks.append(_section(f"<{_escaped(notification.link)}|Open the page at this moment>"))
    return {
        "text": _escaped(notification.title),
        "blocks": blocks,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _section(text: str) -> dict[str, object]:
    cut = text if len(text) <= _SECTION_CHARS else text[: _SECTION_CHARS - 1] + "…"
    return {"type": "section", "text": {"type": "mrkdwn", "text": cut, "verbatim": True}}


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)
