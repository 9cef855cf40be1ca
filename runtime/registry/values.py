"""How the values of our topics are written and read: the seam between JSON and a registry."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

import msgspec


class Encoded(NamedTuple):
    """A message as a record carries it."""

    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    """What names the schema, where a header does."""


class ValueWriter(Protocol):
    """Makes a record's value of a message."""

    def encode(self, topic: str, message: msgspec.Struct) -> Encoded:
        """The message as it is written to this topic. Never waits.

        Raises:
            runtime.registry.errors.Unencodable: it doesn't fit the registered schema.
        """


class JsonValues:
    """Plain JSON: what is written where no registry is configured."""

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder().encode

    def encode(self, topic: str, message: msgspec.Struct) -> Encoded:  # noqa: ARG002 - the seam's
        """The message as JSON."""
        return Encoded(self._encode(message))


JSON_VALUES: Final = JsonValues()

CONTENT_TYPES: Final[Mapping[str, bytes]] = {
    "": b"application/json",
    "json-schema": b"application/json",
    "avro": b"application/avro",
}
"""By `registry.format`: the header `content-type` of events. That a value has a prefix, the prefix
itself says, as everywhere with a registry."""


class ValueReader(Protocol):
    """Reads values of some topics by a registry."""

    def reads(self, topic: str) -> bool:
        """Whether this topic's values may be framed."""

    def over(self, consumer: Any) -> Any:
        """The same consumer, whose `getmany` gives values as JSON; what can't be read as it is.

        Raises (in `getmany`):
            RegistryUnavailable, RegistryDenied: nothing is lost, the next call gives the records.
        """
