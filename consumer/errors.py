"""What ends the consumer, beside what ends any program (`runtime.errors`).

ServiceError
├── Halted             exit 3: going on would do harm
│   └── FuseBlown          nearly everything is poison
└── Broken             exit 1: start it again
    ├── PublishTimedOut    events weren't acknowledged within their time
    └── Stuck              the Kafka consumer delivers nothing although there is more
"""

from runtime.errors import Broken, Halted


class FuseBlown(Halted):
    """Nearly everything was poison: a bad deploy, not bad posts."""


class PublishTimedOut(Broken):
    """Events or dead letters weren't acknowledged in time; they stay uncommitted."""


class Stuck(Broken):
    """The Kafka consumer delivers nothing although there is more, new ones included."""
