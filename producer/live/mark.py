"""Up to where everything of one source is settled: what a start may begin after."""

from collections import OrderedDict


class Mark:
    """The acknowledged prefix of a stream, by the stream's own order and not by its positions.

    Positions repeat, and replays go back. So each record that is in flight remembers how far the
    stream had come before it; the watermark is what the oldest of them remembers.
    """

    def __init__(self, start: int) -> None:
        """`start` is where reading begins, Unix microseconds."""
        self._high = start
        self._in_flight: OrderedDict[int, int] = OrderedDict()
        self._next = 0

    @property
    def watermark(self) -> int:
        """Everything up to here is acknowledged by Kafka, or passed over. Never goes back."""
        for before in self._in_flight.values():
            return before
        return self._high

    def passed(self, position: int | None) -> None:
        """Something at this position needs no acknowledgement."""
        if position is not None and position > self._high:
            self._high = position

    def sent(self, position: int | None) -> int:
        """A record goes out; give its ticket for `acknowledged`."""
        ticket, self._next = self._next, self._next + 1
        self._in_flight[ticket] = self._high
        self.passed(position)
        return ticket

    def with_acknowledged(self, ticket: int) -> int:
        """Give the watermark as it is once this record, too, is acknowledged: what it may say."""
        for other, before in self._in_flight.items():
            if other != ticket:
                return before
        return self._high

    def acknowledged(self, ticket: int) -> None:
        """Kafka has it."""
        del self._in_flight[ticket]
