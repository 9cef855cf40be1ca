"""What ends the consumer, beside what ends any program (`runtime.errors`).

ServiceError
├── Halted             exit 3: going on would do harm
│   └── FuseBlown          nearly everything is poison
└── Broken             exit 1: start it again
    ├── PublishTimedOut    events weren't acknowledged within their time
    └── Stuck              the Kafka consumer delivers nothing although there is more
"""

from emollm.errors import Stop, WrongRequest
from runtime.errors import (
    EXIT_BROKEN,
    EXIT_DONE,
    EXIT_HALTED,
    EXIT_MISCONFIGURED,
    Broken,
    Halted,
    ServiceError,
)


class FuseBlown(Halted):
    """Nearly everything was poison: a bad deploy, not bad posts."""


class PublishTimedOut(Broken):
    """Events or dead letters weren't acknowledged in time; they stay uncommitted."""


class Stuck(Broken):
    """The Kafka consumer delivers nothing although there is more, new ones included."""


def exit_code(error: BaseException | None) -> int:
    """The process's exit status, by what ended the service; None is an end that was asked for."""
    match error:
        case None:
            return EXIT_DONE
        case ServiceError():
            return error.exit_code
        case WrongRequest():
            return EXIT_MISCONFIGURED
        case Stop():
            return EXIT_HALTED
        case _:
            return EXIT_BROKEN
