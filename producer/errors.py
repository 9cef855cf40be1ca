"""What can go wrong while producing.

ProducerError
├── BrokerUnreachable   no broker answers at the bootstrap address, or it refuses us
├── TopicMissing        the topic doesn't exist and the broker doesn't create it
├── DeliveryStalled     nothing was acknowledged for the whole delivery timeout
├── UnreadableFile      the file to replay can't be opened, or its header doesn't fit
└── TweetsUnavailable   the rated tweets can't be fetched, or aren't the pinned ones
"""


class ProducerError(Exception):
    """Producing can't go on. The message says what to do; it never holds a post or a secret."""


class BrokerUnreachable(ProducerError):  # noqa: N818 - says what is the matter
    """No broker answers at the bootstrap address, or it refuses us."""


class TopicMissing(ProducerError):  # noqa: N818
    """The topic doesn't exist, and the broker doesn't create it."""


class DeliveryStalled(ProducerError):  # noqa: N818
    """Nothing was acknowledged for the whole delivery timeout."""


class ReadingStalled(ProducerError):  # noqa: N818
    """The broker stopped giving records before the end of a topic."""


class NoSuchLetter(ProducerError):  # noqa: N818
    """No dead letter stands at this place."""


class UnreadableFile(ProducerError):  # noqa: N818
    """The file to replay can't be opened, or its header doesn't fit the mapping."""


class TweetsUnavailable(ProducerError):  # noqa: N818
    """The rated tweets can't be fetched, or are not the pinned ones."""
