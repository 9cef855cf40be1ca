"""The lines of a CSV file for `csv.reader`, which takes all after a lone quote for one text."""

from collections.abc import Iterable, Iterator


class CsvLines(Iterator[str]):
    """Give it to `csv.reader` in place of the file; `cut` after each row."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._first = 1
        self._count = 0
        self._ended = False

    def __next__(self) -> str:
        try:
            line = next(self._lines)
        except StopIteration:
            self._ended = True
            raise
        self._count += 1
        return line

    def cut(self) -> str | None:
        """Say what is wrong with the row that the reader gave last; None where nothing is.

        A reader asks for a line more than there are only within a quoted cell, or for a row that
        it doesn't give.
        """
        first, self._first = self._first, self._count + 1
        if not self._ended:
            return None
        return (
            f"a quote is never closed in the row that begins in line {first}: it would take the"
            f" file's last {self._count - first + 1:,} lines for one text"
        )
