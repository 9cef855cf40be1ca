"""The types of TGI's request bodies, as serde reads them: what each field may hold.

A shape reads one value from a `Reader` or raises `SerdeError` in serde's words. Structs give
dicts that hold only the fields that were there; the defaults are in `requests.py`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

from infra.tgi.router.strict_json import Reader, SerdeError


class Shape(Protocol):
    """How one type is read."""

    def read(self, reader: Reader) -> Any:
        """Read one value; raises `SerdeError`."""
        ...


def _debug(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _float_text(value: float) -> str:
    return repr(value).replace("e+", "e")


def refuse(reader: Reader, expected: str) -> NoReturn:
    """Raise what serde says of the next value where `expected` should be."""
    byte = reader.peek()
    if byte == ord("["):
        reader.wrong(f"invalid type: sequence, expected {expected}")
    if byte == ord("{"):
        reader.wrong(f"invalid type: map, expected {expected}")
    value = reader.scalar()
    if value is None:
        found = "null"
    elif isinstance(value, bool):
        found = f"boolean `{'true' if value else 'false'}`"
    elif isinstance(value, int):
        found = f"integer `{value}`"
    elif isinstance(value, float):
        found = f"floating point `{_float_text(value)}`"
    else:
        found = f"string {_debug(value)}"
    reader.wrong(f"invalid type: {found}, expected {expected}")


class Text:
    """A string."""

    def read(self, reader: Reader) -> str:
        """Read it."""
        if reader.peek() != ord('"'):
            refuse(reader, "a string")
        return reader.string()


class Flag:
    """true or false."""

    def read(self, reader: Reader) -> bool:
        """Read it."""
        if reader.peek() not in {ord("t"), ord("f")}:
            refuse(reader, "a boolean")
        return bool(reader.ident())


def _is_number(byte: int) -> bool:
    return byte == ord("-") or ord("0") <= byte <= ord("9")


@dataclass(frozen=True)
class Integer:
    """A whole number between two bounds, both included; `name` is Rust's."""

    name: str
    low: int
    high: int

    def read(self, reader: Reader) -> int:
        """Read it."""
        if not _is_number(reader.peek()):
            refuse(reader, self.name)
        value = reader.number()
        if isinstance(value, float):
            reader.wrong(
                f"invalid type: floating point `{_float_text(value)}`, expected {self.name}"
            )
        if not self.low <= value <= self.high:
            reader.wrong(f"invalid value: integer `{value}`, expected {self.name}")
        return int(value)


class Float32:
    """A number, rounded to 32 bits as TGI keeps it: 1e-50 is 0 there, and so refused later."""

    def read(self, reader: Reader) -> float:
        """Read it."""
        if not _is_number(reader.peek()):
            refuse(reader, "f32")
        return to_float32(reader.number())


def to_float32(value: float) -> float:
    """The nearest 32-bit float; beyond its range, infinity."""
    try:
        rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
    return rounded


@dataclass(frozen=True)
class Maybe:
    """null or a value."""

    inner: Shape

    def read(self, reader: Reader) -> Any:
        """Read it."""
        if reader.peek() == ord("n"):
            return reader.ident()
        return self.inner.read(reader)


@dataclass(frozen=True)
class ListOf:
    """An array of one type."""

    inner: Shape

    def read(self, reader: Reader) -> list[Any]:
        """Read it."""
        if reader.peek() != ord("["):
            refuse(reader, "a sequence")
        reader.position += 1
        items: list[Any] = []
        while reader.next_element(first=not items):
            try:
                items.append(self.inner.read(reader))
            except SerdeError as error:
                error.path.insert(0, f"[{len(items)}]")
                raise
        return items


class Anything:
    """Any JSON value."""

    def read(self, reader: Reader) -> Any:
        """Read it."""
        return reader.anything()


@dataclass(frozen=True)
class Struct:
    """An object of known fields; unknown ones are ignored.

    An array of the fields in order does as well, as serde has it.
    """

    name: str
    fields: Mapping[str, Shape]
    required: frozenset[str] = frozenset()
    aliases: Mapping[str, str] = field(default_factory=dict)

    def read(self, reader: Reader) -> dict[str, Any]:
        """Read it."""
        byte = reader.peek()
        if byte == ord("["):
            return self._read_array(reader)
        if byte != ord("{"):
            refuse(reader, f"struct {self.name}")
        reader.position += 1
        found: dict[str, Any] = {}
        first = True
        while (key := reader.next_key(first=first)) is not None:
            first = False
            name = self.aliases.get(key, key)
            shape = self.fields.get(name)
            if shape is None:
                reader.colon()
                reader.ignore()
                continue
            if name in found:
                reader.wrong(f"duplicate field `{name}`")
            reader.colon()
            try:
                found[name] = shape.read(reader)
            except SerdeError as error:
                error.path.insert(0, key)
                raise
        for name in self.fields:
            if name in self.required and name not in found:
                reader.wrong(f"missing field `{name}`")
        return found

    def _read_array(self, reader: Reader) -> dict[str, Any]:
        reader.position += 1
        found: dict[str, Any] = {}
        open_ = True
        for index, (name, shape) in enumerate(self.fields.items()):
            open_ = open_ and reader.next_element(first=index == 0)
            if open_:
                found[name] = shape.read(reader)
            elif name in self.required:
                size = len(self.fields)
                plural = "" if size == 1 else "s"
                reader.wrong(
                    f"invalid length {index}, expected struct {self.name} "
                    f"with {size} element{plural}"
                )
        if open_ and reader.next_element(first=not found):
            reader.syntax("trailing characters", peeked=True)
        return found


@dataclass(frozen=True)
class Untagged:
    """The first of several shapes that fits; gives (its index, the value)."""

    name: str
    variants: tuple[Shape, ...]

    def read(self, reader: Reader) -> tuple[int, Any]:
        """Read it."""
        reader.peek()
        start = reader.position
        reader.anything()
        for index, variant in enumerate(self.variants):
            inner = Reader(reader.data[start : reader.position])
            try:
                return index, variant.read(inner)
            except SerdeError:
                continue
        return reader.wrong(f"data did not match any variant of untagged enum {self.name}")
