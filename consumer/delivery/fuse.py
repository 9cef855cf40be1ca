"""The fuse: stops the service when nearly everything is poison."""

from collections import deque

from consumer.errors import FuseBlown
from consumer.options import FuseLimits


class Fuse:
    """Looks at the last outcomes, batch by batch, before a batch's dead letters are published."""

    def __init__(self, limits: FuseLimits) -> None:
        self._limits = limits
        self._seen: deque[tuple[int, int]] = deque()
        self._records = 0
        self._poison = 0

    def add(self, records: int, poison: int) -> None:
        """A batch of `records` has `poison` dead letters among its outcomes.

        Raises:
            FuseBlown: of at least the last `window` records, the share of dead letters is too
                high. The batch's dead letters must be neither published nor committed.
        """
        self._seen.append((records, poison))
        self._records += records
        self._poison += poison
        window = self._limits.window
        while self._records - self._seen[0][0] >= window:
            old_records, old_poison = self._seen.popleft()
            self._records -= old_records
            self._poison -= old_poison
        if self._records >= window and self._poison >= self._limits.share * self._records:
            raise FuseBlown(
                f"{self._poison} of the last {self._records} records could not become events: "
                "look at the dead letters' reasons (`emostream dlq list`), correct the cause, and "
                "start again; what blew the fuse is neither published nor committed"
            )
