"""Avro by the official (de)serializer, to and from what JSON can hold.

What one of our schemas marks as `json` (an object of any content) is a text in Avro.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from runtime.registry.avro_bounds import MOST_EMPTY, AvroBounds, TooManyEmpty
from runtime.registry.errors import Undecodable
from runtime.registry.framing import Framed, SchemaRef, header_of

if TYPE_CHECKING:
    from runtime.registry.known import KnownSchemas

_MOST_SCHEMAS = 1_000
"""Of which it is known whether they have bounds; then that is found out again."""
_SIGN_BYTES = 8
"""Some writers put more bytes of the sign before a decimal than it needs."""
_TOPIC_STRATEGY = {"subject.name.strategy.type": "TOPIC"}
"""The official default first looks for an association of the topic, which plain registries lack."""


class AvroReader:
    """Reads values by their writer's schema. The official client is imported with the first."""

    def __init__(self, known: "KnownSchemas") -> None:
        self._known = known
        self._deserialize: Any = None
        self._context: Any = None
        self._bounds: dict[SchemaRef, AvroBounds] = {}

    def decode(self, value: bytes, framed: Framed, *, leave_out_nulls: bool) -> bytes:
        """The value as JSON.

        Raises:
            Undecodable: it isn't what its schema says.
        """
        if self._deserialize is None:
            self._open()
        context = None
        if framed.ref.guid is not None or not framed.payload_at:
            context = self._context(framed)
        try:
            self._see_bounds(value, framed)
            tree = self._deserialize(value, context)
            return msgspec.json.encode(without_nulls(tree) if leave_out_nulls else tree)
        except TooManyEmpty:
            raise Undecodable(
                "not_its_schema",
                f"the value holds over {MOST_EMPTY:,} nulls or empty records that take no bytes"
                f" by the schema of {framed.ref}",
            ) from None
        except Exception as error:  # noqa: BLE001 - fastavro raises what its C code meets
            raise Undecodable(
                "not_its_schema",
                f"the value isn't what the schema of {framed.ref} says ({type(error).__name__})",
            ) from None

    def _see_bounds(self, value: bytes, framed: Framed) -> None:
        """Raise RecursionError or TooManyEmpty where reading the value could end the process.

        fastavro's C code doesn't look: nested some thousands deep, by one record of 25 KB, the
        process is gone (SIGSEGV), and again at each start. An array of nulls fills its memory.
        """
        bounds = self._bounds.get(framed.ref)
        if bounds is None:
            if len(self._bounds) >= _MOST_SCHEMAS:
                self._bounds.clear()
            parsed = self._deserialize._get_parsed_schema(self._known.find(framed.ref))  # noqa: SLF001
            bounds = self._bounds[framed.ref] = AvroBounds(parsed)
        if bounds.needed:
            bounds.check(value[framed.payload_at :])

    def _open(self) -> None:
        from confluent_kafka.schema_registry.avro import AvroDeserializer  # noqa: PLC0415 - extra
        from confluent_kafka.serialization import (  # noqa: PLC0415
            MessageField,
            SerializationContext,
        )

        read_json_texts()
        self._deserialize = AvroDeserializer(self._known, conf=_TOPIC_STRATEGY)
        self._context = lambda framed: SerializationContext(
            "-", MessageField.VALUE, [header_of(framed.ref)]
        )


def read_json_texts() -> None:
    """Teach fastavro the logical type `json`: an object in our structs, a text in Avro.

    And to refuse decimals with more digits than their schema allows.
    """
    import fastavro.read  # noqa: PLC0415 - an extra
    import fastavro.write  # noqa: PLC0415

    fastavro.write.LOGICAL_WRITERS["string-json"] = _to_text
    readers = fastavro.read.LOGICAL_READERS
    if "string-json" not in readers:
        readers["string-json"] = _to_raw
        readers["bytes-decimal"] = partial(_to_decimal, readers["bytes-decimal"])


def _to_decimal(read: Callable[..., Any], data: bytes, schema: Any, *more: Any) -> Any:
    """Read a decimal. A digit takes half a byte; 1 MB of them took minutes, and were rounded."""
    if len(data) > schema["precision"] + _SIGN_BYTES:
        raise ValueError("a decimal with more digits than its precision")
    return read(data, schema, *more)


def _to_text(value: Any, *_: Any) -> str:
    # A text is one already, as in another program's schema.
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _to_raw(value: str, *_: Any) -> msgspec.Raw:
    return msgspec.Raw(value.encode())


def to_avro(message: msgspec.Struct) -> Any:
    """What fastavro writes: times as they are, and lists, since a tuple names a union's branch."""
    return _lists(msgspec.to_builtins(message, builtin_types=(datetime,)))


def _lists(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return {name: _lists(one) for name, one in value.items()}
    if kind is tuple or kind is list:
        return [_lists(one) for one in value]
    return value


def without_nulls(value: Any) -> Any:
    """The tree without the keys whose value is null."""
    kind = type(value)
    if kind is dict:
        return {name: without_nulls(one) for name, one in value.items() if one is not None}
    if kind is list:
        return [without_nulls(one) for one in value]
    return value
