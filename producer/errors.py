"""What can go wrong while producing.

ProducerError
├── UnreadableFile      the file to replay can't be opened, or its header doesn't fit
└── TweetsUnavailable   the rated tweets can't be fetched, or aren't the pinned ones
"""

from runtime.errors import QuotableError


class ProducerError(QuotableError):
    """Producing can't go on. The message says what to do; it never holds a post or a secret."""


class NoSuchDeadLetter(ProducerError):  # noqa: N818
    """There is no dead letter at this place."""


class UnreadableFile(ProducerError):  # noqa: N818
    """The file to replay can't be opened, or its header doesn't fit the mapping."""


class TweetsUnavailable(ProducerError):  # noqa: N818
    """The rated tweets can't be fetched, or are not the pinned ones."""
