"""What Kafka may answer, by what to do about it.

KafkaFault
├── RecordRefused      this record can't be written to that topic, now or later
│   └── RecordTooLarge
├── Fenced             the partitions moved: their new owner does the work
├── Denied             credentials or rights
├── TransactionsRefused  the brokers forbid transactions that may take so long
├── GroupRefused       the group doesn't take this member, now or later
├── NoOffset           there is no offset to begin from, and no reset is allowed
├── TopicMissing       the topic doesn't exist and the broker doesn't create it
├── ProducerLost       this producer can't go on, a new one can
├── Unreachable        no usable answer: try again
├── DeliveryStalled    nothing was acknowledged for the whole delivery timeout
└── ReadingStalled     the broker stopped giving records before the end of a topic
"""

from runtime.errors import QuotableError


class KafkaFault(QuotableError):  # noqa: N818 - what it is, not that it is an error
    """What a client of ours raises. The message says what to do; it never holds a secret."""


class RecordRefused(KafkaFault):
    """The broker can't take this record on that topic, now or later."""


class RecordTooLarge(RecordRefused):
    """The record is larger than the topic's `max.message.bytes` or the client's bound."""


class Fenced(KafkaFault):
    """The group moved on without this member's generation: drop this commit and go on.

    Or, of transactions: a newer producer has the transactional id, or the brokers ended it.
    """


class Denied(KafkaFault):
    """Authentication or authorization failed."""


class TransactionsRefused(KafkaFault):
    """The transaction timeout is above what the brokers allow."""


class GroupRefused(KafkaFault):
    """The group doesn't take this member: another program's, or a timeout the brokers forbid."""


class NoOffset(KafkaFault):
    """No committed offset to begin from, or it is gone, and no reset is allowed."""


class TopicMissing(KafkaFault):
    """The topic doesn't exist, and the broker doesn't create it."""


class ProducerLost(KafkaFault):
    """This producer's sequence is broken; a new one can send the same records again."""


class Unreachable(KafkaFault):
    """No usable answer, this time."""


class DeliveryStalled(KafkaFault):
    """Nothing was acknowledged for the whole delivery timeout."""


class ReadingStalled(KafkaFault):
    """The broker stopped giving records before the end of a topic."""
