"""What can go wrong while producing.

ProducerError
├── UnreadableFile      the file to replay can't be opened, or is of another kind
│   └── NoSuchColumn    its header lacks a column that the mapping names
└── TweetsUnavailable   the rated tweets can't be fetched, or aren't the pinned ones
"""

from collections.abc import Sequence

from runtime.errors import QuotableError
from runtime.table_rows import separator_hint


class ProducerError(QuotableError):
    """Producing can't go on. The message says what to do; it never holds a post or a secret."""


class NoSuchDeadLetter(ProducerError):  # noqa: N818
    """There is no dead letter at this place."""


class UnreadableFile(ProducerError):  # noqa: N818
    """The file to replay can't be opened or read on, or is of another kind than its name says."""


class NoSuchColumn(UnreadableFile):
    """A CSV's or TSV's header lacks a column that the mapping names."""

    def __init__(self, file: str, *, field: str, column: str, names: Sequence[str]) -> None:
        self.field = field
        """The post's field that the column was to give."""
        self.what = f"{file} has no column {column}; it has: {', '.join(names)}"
        """The same without the flag that fixes it."""
        separated = separator_hint(names)
        if separated:
            self.what += f"; {separated}"
        position = ", or @position for the line's number" if field == "id" else ""
        fix = "" if separated else f": --field.{field} COLUMN says which it is{position}"
        super().__init__(f"{self.what}{fix}")


class TweetsUnavailable(ProducerError):  # noqa: N818
    """The rated tweets can't be fetched, or are not the pinned ones."""
