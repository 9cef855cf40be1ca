"""What the notifier needs of whoever takes notifications.

TargetFault
├── Unavailable     no answer, 429 or 5xx: try again, after `retry_after_s` where the answer has it
└── Rejected        any other answer: trying again would not help
"""

from typing import Protocol

from monitor.notify.message import Notification
from runtime.errors import QuotableError


class TargetFault(QuotableError):  # noqa: N818 - what it is, not that it is an error
    """A notification was not taken. The message never holds the target's address: it is secret."""


class Unavailable(TargetFault):
    """It may be taken later."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        """How long the target asked us to wait; None where it did not."""


class Rejected(TargetFault):
    """It would not be taken later either."""


class Target(Protocol):
    """One configured receiver. Neither retries nor queues: that is the notifier's."""

    @property
    def name(self) -> str:
        """Its name in the configuration: what logs, metrics and the page call it."""

    @property
    def interval_s(self) -> float:
        """Least seconds between two notifications that it takes."""

    async def deliver(self, notification: Notification) -> None:
        """Hand one over, within its own timeout.

        Raises:
            TargetFault: it was not taken.
        """

    async def aclose(self) -> None:
        """Close its connections."""
