"""Avro values that would take the process with them, found before they are read."""

import io
from collections.abc import Callable
from typing import Any, Final

MOST_EMPTY: Final = 100_000
"""Nulls, records without fields and the like that take no byte of a value: 10 MB in memory. An
array of them costs its count alone, so five bytes could say that there are billions."""

_RECORDS: Final = ("record", "error")


class TooManyEmpty(ValueError):  # noqa: N818 - what it is
    """A value holds more than `MOST_EMPTY` values that take no bytes."""


class AvroBounds:
    """Whether a value of one schema is within bounds."""

    def __init__(self, schema: Any) -> None:
        """`schema` is as fastavro parsed it."""
        self._schema = schema
        self._names: dict[str, Any] = {}
        self.needed = _has_no_bound(schema, self._names, frozenset())
        """Whether a short value can be nested, or hold others, without end."""

    def check(self, payload: bytes) -> None:
        """Pass over a value. In Python, and slowly: only where it is needed.

        Raises:
            RecursionError: it is nested some hundreds deep.
            TooManyEmpty: it holds too many values that take no bytes.
            Exception: it isn't what its schema says.
        """
        _Pass(payload, self._names).over(self._schema)


class _Pass:
    """One pass over one value."""

    def __init__(self, payload: bytes, names: dict[str, Any]) -> None:
        from fastavro.io.binary_decoder import BinaryDecoder  # noqa: PLC0415 - an extra

        self._bytes = io.BytesIO(payload)
        decoder: Any = BinaryDecoder
        self._decoder = decoder = decoder(self._bytes)
        self._names = names
        self._empty = 0
        self._ways: dict[str, Callable[[Any], Any]] = {
            "null": lambda _: None,
            "boolean": lambda _: decoder.read_boolean(),
            "float": lambda _: decoder.read_float(),
            "double": lambda _: decoder.read_double(),
            "fixed": lambda schema: decoder.read_fixed(schema["size"]),
            "array": self._array,
            "map": self._map,
            "union": self._union,
        }
        self._ways |= dict.fromkeys(("int", "long", "enum"), lambda _: decoder.read_long())
        self._ways |= dict.fromkeys(("bytes", "string"), lambda _: decoder.read_bytes())
        self._ways |= dict.fromkeys(_RECORDS, self._record)

    def over(self, schema: Any) -> None:
        """Pass over what is next."""
        begin = self._bytes.tell()
        if isinstance(schema, list):
            kind = "union"
        else:
            kind = schema["type"] if isinstance(schema, dict) else schema
        way = self._ways.get(kind)
        if way is None:
            self.over(self._names[kind])
            return
        way(schema)
        if self._bytes.tell() == begin:
            self._empty += 1
            if self._empty > MOST_EMPTY:
                raise TooManyEmpty

    def _union(self, branches: Any) -> None:
        branch = branches[self._decoder.read_long()]
        if not _is_null(branch):  # which took a byte: this one's number
            self.over(branch)

    def _array(self, schema: Any) -> None:
        self._decoder.read_array_start()
        for _ in self._decoder.iter_array():
            self.over(schema["items"])

    def _map(self, schema: Any) -> None:
        self._decoder.read_map_start()
        for _ in self._decoder.iter_map():
            self._decoder.read_bytes()
            self.over(schema["values"])

    def _record(self, schema: Any) -> None:
        for field in schema["fields"]:
            self.over(field["type"])


def _is_null(schema: Any) -> bool:
    return schema == "null" or (isinstance(schema, dict) and schema["type"] == "null")


def _has_no_bound(schema: Any, names: dict[str, Any], within: frozenset[str]) -> bool:
    """Whether values can hold some of their own kind, or some that take no bytes.

    `names` gets the schema's named types; `within` are the records around it. A null of a union
    takes the byte that says so.
    """
    if isinstance(schema, str):
        return schema in within or _is_null(schema)
    if isinstance(schema, list):
        found = False
        for one in schema:  # all of them, for their names
            found = (not _is_null(one) and _has_no_bound(one, names, within)) or found
        return found
    name = schema.get("name")
    if name is not None:
        names[name] = schema
    kind = schema["type"]
    if kind in _RECORDS:
        fields = schema["fields"]
        inner, within, found = [one["type"] for one in fields], within | {name}, not fields
    else:
        inner = [schema[key] for key in ("items", "values") if key in schema]
        found = _is_null(schema) or (kind == "fixed" and schema["size"] == 0)
    for one in inner:
        found = _has_no_bound(one, names, within) or found
    return found
