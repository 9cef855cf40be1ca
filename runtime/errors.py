"""What ends a program, and with which exit status.

QuotableError          its message holds no post's text, no person and no secret: logs may quote it
└── ServiceError       ends the program; nothing that isn't finished is committed
    ├── Misconfigured      exit 2: a human changes the configuration or the topics
    ├── Halted             exit 3: going on would do harm
    │   └── AccessDenied       a broker refuses the credentials, or a right is missing
    └── Broken             exit 1: start it again
"""

EXIT_DONE = 0
EXIT_BROKEN = 1
EXIT_MISCONFIGURED = 2
EXIT_HALTED = 3
EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""


class QuotableError(Exception):
    """Its message never holds a post's text, a person or a secret, so a log line may quote it."""


class ServiceError(QuotableError):
    """Ends the program. The message says what to do about it."""

    exit_code = EXIT_BROKEN


class Misconfigured(ServiceError):  # noqa: N818 - what it is, not that it is an error
    """The configuration can't work; the message says what to change."""

    exit_code = EXIT_MISCONFIGURED


class Halted(ServiceError):  # noqa: N818
    """Stopped, since going on would do harm."""

    exit_code = EXIT_HALTED


class AccessDenied(Halted):
    """A broker refuses the credentials, or a right is missing."""


class Broken(ServiceError):  # noqa: N818
    """Something that a restart may repair."""
