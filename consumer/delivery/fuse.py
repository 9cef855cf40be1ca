"""The fuse: stops the service when nearly everything is poison."""

from collections import deque
from collections.abc import Callable

from consumer.errors import FuseBlown
from consumer.options import FuseLimits


class Fuse:
    """Looks at the last outcomes, batch by batch, before a batch's dead letters are published.

    Which events are refused is known only when they are sent: so the last ones of these are looked
    at, too, by themselves. Counted with records that are analysed by then, the refusals of many
    records would meet a few.
    """

    def __init__(self, limits: FuseLimits) -> None:
        self._analysed = _Window(limits)
        self._events = _Window(limits)

    def add(self, records: int, poison: int, *, overtaken: Callable[[], int] = lambda: 0) -> None:
        """A batch of `records` has `poison` dead letters among its outcomes.

        `overtaken` counts those that began before it and are no poison yet: posts wait for the
        model, and what can't be decoded waits for nothing. It is asked only where it matters.

        Raises:
            FuseBlown: of at least the last `window` records, the share of dead letters is too
                high. The batch's dead letters must be neither published nor committed.
        """
        if found := self._analysed.add(records, poison, overtaken):
            raise FuseBlown(
                f"{found} could not become events: look at the dead letters' reasons (`emostream"
                " dlq list`), correct the cause, and start again; what blew the fuse is neither"
                " published nor committed"
            )

    def add_events(self, events: int, refused: int) -> None:
        """Of so many `events`, `refused` became dead letters; all of it is acknowledged.

        Raises:
            FuseBlown: as `add`, but these dead letters are published, and to be committed.
        """
        if found := self._events.add(events, refused):
            raise FuseBlown(
                f"{found} have an event that can't be published, and are on the dead-letter topic:"
                " look at the reasons (`emostream dlq list`), correct the cause, start again, and"
                " send them back (`emostream dlq replay`)"
            )


class _Window:
    """The last records, and how many of them are poison."""

    def __init__(self, limits: FuseLimits) -> None:
        self._limits = limits
        self._seen: deque[tuple[int, int]] = deque()
        self._records = 0
        self._poison = 0

    def add(
        self, records: int, poison: int, overtaken: Callable[[], int] = lambda: 0
    ) -> str | None:
        """Count these; give how many of how many are poison, where those are too many."""
        self._seen.append((records, poison))
        self._records += records
        self._poison += poison
        window = self._limits.window
        while self._records - self._seen[0][0] >= window:
            old_records, old_poison = self._seen.popleft()
            self._records -= old_records
            self._poison -= old_poison
        share = self._limits.share
        if self._records < window or self._poison < share * self._records:
            return None
        if self._poison < share * (self._records + overtaken()):
            return None
        return f"{self._poison} of the last {self._records} records"
