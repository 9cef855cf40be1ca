"""What ends the service, and what Kafka may answer, by what to do about it.

ServiceError           ends the service; nothing that isn't finished is committed
├── Misconfigured      exit 2: a human changes the configuration or the topics
├── Halted             exit 3: going on would do harm
│   ├── FuseBlown          nearly everything is poison
│   └── AccessDenied       a broker refuses the credentials, or a right is missing
└── Broken             exit 1: start it again
    ├── PublishTimedOut    events weren't acknowledged within their time
    └── Stuck              the consumer delivers nothing although there is more

KafkaFault             what a broker adapter raises
├── RecordRefused      this record can't be written to that topic, now or later
│   └── RecordTooLarge
├── Fenced             the partitions moved: their new owner does the work
├── Denied             credentials or rights
├── NoOffset           there is no offset to begin from, and no reset is allowed
├── ProducerLost       this producer can't go on, a new one can
└── Unreachable        try again
"""


class ServiceError(Exception):
    """Ends the service. The message says what to do about it."""

    exit_code = 1


class Misconfigured(ServiceError):  # noqa: N818 - what it is, not that it is an error
    """The configuration can't work; the message says what mends it."""

    exit_code = 2


class Halted(ServiceError):  # noqa: N818
    """Stopped, since going on would do harm."""

    exit_code = 3


class FuseBlown(Halted):
    """Nearly everything was poison: a bad deploy, not bad posts."""


class AccessDenied(Halted):
    """A broker refuses the credentials, or a right is missing."""


class Broken(ServiceError):  # noqa: N818
    """Something that a restart may mend."""


class PublishTimedOut(Broken):
    """Events or dead letters weren't acknowledged in time; they stay uncommitted."""


class Stuck(Broken):
    """The Kafka consumer delivers nothing although there is more, new ones included."""


class KafkaFault(Exception):  # noqa: N818
    """What a broker adapter raises."""


class RecordRefused(KafkaFault):
    """The broker can't take this record on that topic, now or later."""


class RecordTooLarge(RecordRefused):
    """The record is larger than the topic's `max.message.bytes` or the client's bound."""


class Fenced(KafkaFault):
    """The group moved on without this member's generation: drop this commit and go on."""


class Denied(KafkaFault):
    """Authentication or authorization failed."""


class NoOffset(KafkaFault):
    """No committed offset to begin from, or it is gone, and no reset is allowed."""


class TopicMissing(KafkaFault):
    """The topic doesn't exist."""


class ProducerLost(KafkaFault):
    """This producer's sequence is broken; a new one can send the same records again."""


class Unreachable(KafkaFault):
    """No usable answer, this time."""
