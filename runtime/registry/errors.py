"""What a schema registry may answer, by what to do about it.

RegistryUnavailable   no usable answer: try again (an `Unreachable`)
RegistryDenied        it refuses our credentials, or a right is missing (a `Denied`)
NotRegistered         the subject, version or id isn't there
Incompatible          the subject's rules refuse the schema
Undecodable           a value can't be read: its schema is unknown, or it isn't what that says
Unencodable           a message doesn't fit the registered schema

The first two are `KafkaFault`s: while schemas can't be had, topics can't be read, and whoever waits
for brokers waits for a registry likewise.
"""

from typing import Literal

from runtime.errors import QuotableError
from runtime.kafka.errors import Denied, Unreachable


class RegistryUnavailable(Unreachable):
    """No usable answer, this time."""

    def __init__(self, message: str, *, no_registry_404: bool = False) -> None:
        super().__init__(message)
        self.no_registry_404 = no_registry_404
        """The path that was asked for isn't there at all."""


class RegistryDenied(Denied):
    """The registry refuses our credentials, or a right is missing."""


class RegistryError(QuotableError):
    """An answer that trying again won't change."""


class NotRegistered(RegistryError):  # noqa: N818 - what it is, not that it is an error
    """The registry has no such subject, version or id."""


class Incompatible(RegistryError):  # noqa: N818
    """The subject's compatibility rules refuse the schema, or the schema isn't valid."""


Problem = Literal["unknown_schema", "not_its_schema"]


class Undecodable(RegistryError):  # noqa: N818
    """A framed value can't be read. The message holds nothing of the value."""

    def __init__(self, problem: Problem, message: str) -> None:
        super().__init__(message)
        self.problem = problem


class Unencodable(RegistryError):  # noqa: N818
    """A message doesn't fit the registered schema. The message holds nothing of the value."""
