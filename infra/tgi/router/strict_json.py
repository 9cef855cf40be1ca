"""A JSON reader that refuses exactly what TGI's router refuses, in its words.

TGI reads a request with serde straight into typed structs, so a wrong type is an answer of its
own (422, plain text) and is met in reading order: `{"inputs": 5,` is a wrong type, not a syntax
error. No Python library reads that way. This one is slow (about 100 times msgspec) and is only
asked when the quick check in `requests.py` meets anything unusual.

Measured against recorded answers of TGI (tests/infra/tgi); the rules are those of serde_json 1.0.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

_WHITESPACE = re.compile(rb"[ \t\n\r]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_HEX4 = re.compile(rb"[0-9a-fA-F]{4}")
_ESCAPES = {
    ord('"'): b'"',
    ord("\\"): b"\\",
    ord("/"): b"/",
    ord("b"): b"\b",
    ord("f"): b"\f",
    ord("n"): b"\n",
    ord("r"): b"\r",
    ord("t"): b"\t",
}
_IDENTS = {ord("n"): (b"null", None), ord("t"): (b"true", True), ord("f"): (b"false", False)}

#: serde_json's own recursion limit for values it keeps.
_MAX_DEPTH = 128


class SerdeError(ValueError):
    """A body that serde would refuse.

    `syntax` tells the two families apart: bad JSON (status 400) or a wrong shape (status 422).
    """

    def __init__(self, message: str, data: bytes, position: int, *, syntax: bool) -> None:
        before = data[:position]
        newline = before.rfind(b"\n")
        self.message = message
        self.line = before.count(b"\n") + 1
        self.column = position - newline - 1
        self.syntax = syntax
        self.path: list[str] = []
        super().__init__(message)

    def __str__(self) -> str:
        """The error as serde words it: path, message, line and column."""
        path = ""
        for segment in self.path:
            path += segment if segment.startswith("[") or not path else f".{segment}"
        prefix = f"{path}: " if path else ""
        return f"{prefix}{self.message} at line {self.line} column {self.column}"


class Reader:
    """A cursor over one body; every method reads one thing and moves behind it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def syntax(self, message: str, *, peeked: bool = False) -> NoReturn:
        """Raise bad JSON here; `peeked` counts the byte that was looked at but not read."""
        position = min(self.position + peeked, len(self.data))
        raise SerdeError(message, self.data, position, syntax=True)

    def wrong(self, message: str) -> NoReturn:
        """Raise a wrong shape here."""
        raise SerdeError(message, self.data, self.position, syntax=False)

    def peek(self) -> int:
        """The next byte that isn't white space, not yet read; -1 at the end."""
        match = _WHITESPACE.match(self.data, self.position)
        self.position = match.end() if match else self.position
        return self.data[self.position] if self.position < len(self.data) else -1

    def ident(self) -> bool | None:
        """One of null, true, false."""
        word, value = _IDENTS[self.data[self.position]]
        for expected in word:
            if self.position >= len(self.data):
                self.syntax("EOF while parsing a value")
            self.position += 1
            if self.data[self.position - 1] != expected:
                self.syntax("expected ident")
        return value

    def number(self) -> int | float:
        """A number: an int where it fits 64 bits, else a float."""
        match = _NUMBER.match(self.data, self.position)
        if match is None:
            self.position += 1
            if self.position >= len(self.data):
                self.syntax("EOF while parsing a value")
            self.syntax("invalid number", peeked=True)
        text = match.group()
        self.position = match.end()
        following = self.data[self.position : self.position + 1]
        if following in {b".", b"e", b"E"} or (following.isdigit() and text in {b"0", b"-0"}):
            self.position += 1
            if self.position >= len(self.data):
                self.syntax("EOF while parsing a value")
            self.syntax("invalid number", peeked=True)
        if match.group(1) is None and match.group(2) is None and text != b"-0":
            # Beyond 20 digits it can't fit 64 bits, and Python would refuse 4,300 of them.
            value = int(text) if len(text) <= 20 else 1 << 64
            if -(1 << 63) <= value < 1 << 64:
                return value
        number = float(text)
        if number in {float("inf"), float("-inf")}:
            self.syntax("number out of range")
        return number

    def string(self) -> str:
        """A string, its opening quote next."""
        self.position += 1
        parts: list[bytes] = []
        while True:
            match = _PLAIN.match(self.data, self.position)
            if match:
                parts.append(match.group())
                self.position = match.end()
            if self.position >= len(self.data):
                self.syntax("EOF while parsing a string")
            byte = self.data[self.position]
            self.position += 1
            if byte == ord('"'):
                break
            if byte != ord("\\"):
                self.syntax("control character (\\u0000-\\u001F) found while parsing a string")
            parts.append(self._escape())
        try:
            return b"".join(parts).decode()
        except UnicodeDecodeError:
            self.syntax("invalid unicode code point")

    def _escape(self) -> bytes:
        if self.position >= len(self.data):
            self.syntax("EOF while parsing a string")
        byte = self.data[self.position]
        self.position += 1
        if byte in _ESCAPES:
            return _ESCAPES[byte]
        if byte != ord("u"):
            self.syntax("invalid escape")
        code = self._hex4()
        if 0xDC00 <= code <= 0xDFFF:
            self.syntax("lone leading surrogate in hex escape")
        if 0xD800 <= code <= 0xDBFF:
            for expected in b"\\u":
                if self.position >= len(self.data):
                    self.syntax("EOF while parsing a string")
                self.position += 1
                if self.data[self.position - 1] != expected:
                    self.syntax("unexpected end of hex escape")
            low = self._hex4()
            if not 0xDC00 <= low <= 0xDFFF:
                self.syntax("lone leading surrogate in hex escape")
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
        return chr(code).encode()

    def _hex4(self) -> int:
        match = _HEX4.match(self.data, self.position)
        if match is None:
            if self.position + 4 > len(self.data):
                self.position = len(self.data)
                self.syntax("EOF while parsing a string")
            self.position += 4
            self.syntax("invalid escape")
        self.position += 4
        return int(match.group(), 16)

    def next_key(self, *, first: bool) -> str | None:
        """The next key of an object and its colon; None behind the closing brace."""
        byte = self.peek()
        if byte == ord("}"):
            self.position += 1
            return None
        if byte == -1:
            self.syntax("EOF while parsing an object")
        if not first:
            if byte != ord(","):
                self.syntax("expected `,` or `}`", peeked=True)
            self.position += 1
            byte = self.peek()
            if byte == ord("}"):
                self.syntax("trailing comma", peeked=True)
            if byte == -1:
                self.syntax("EOF while parsing a value")
        if byte != ord('"'):
            self.syntax("key must be a string", peeked=True)
        return self.string()

    def colon(self) -> None:
        """The colon between a key and its value."""
        byte = self.peek()
        if byte == -1:
            self.syntax("EOF while parsing an object")
        if byte != ord(":"):
            self.syntax("expected `:`", peeked=True)
        self.position += 1

    def next_element(self, *, first: bool) -> bool:
        """Whether another element of an array comes; False behind the closing bracket."""
        byte = self.peek()
        if byte == ord("]"):
            self.position += 1
            return False
        if byte == -1:
            self.syntax("EOF while parsing a list")
        if not first:
            if byte != ord(","):
                self.syntax("expected `,` or `]`", peeked=True)
            self.position += 1
            byte = self.peek()
            if byte == ord("]"):
                self.syntax("trailing comma", peeked=True)
            if byte == -1:
                self.syntax("EOF while parsing a value")
        return True

    def scalar(self) -> Any:
        """A value that isn't an array or an object."""
        byte = self.peek()
        if byte == -1:
            self.syntax("EOF while parsing a value")
        if byte == ord('"'):
            return self.string()
        if byte in _IDENTS:
            return self.ident()
        if byte == ord("-") or ord("0") <= byte <= ord("9"):
            return self.number()
        return self.syntax("expected value", peeked=True)

    def anything(self, depth: int = 0) -> Any:
        """Any value, kept; as serde's `Value`, at most 128 deep."""
        byte = self.peek()
        if byte not in {ord("{"), ord("[")}:
            return self.scalar()
        if depth + 1 >= _MAX_DEPTH:
            self.syntax("recursion limit exceeded", peeked=True)
        self.position += 1
        first = True
        if byte == ord("["):
            items: list[Any] = []
            while self.next_element(first=first):
                first = False
                items.append(self.anything(depth + 1))
            return items
        pairs: dict[str, Any] = {}
        while (key := self.next_key(first=first)) is not None:
            first = False
            self.colon()
            pairs[key] = self.anything(depth + 1)
        return pairs

    def ignore(self) -> None:
        """Any value, thrown away; of any depth, as serde does it, so without recursion."""
        stack: list[int] = []
        fresh = True  # a value is due, rather than what follows one
        while True:
            if fresh:
                byte = self.peek()
                if byte in {ord("{"), ord("[")}:
                    self.position += 1
                    stack.append(byte)
                    first = True
                else:
                    self.scalar()
                    first = False
            else:
                first = False
            if not stack:
                return
            if stack[-1] == ord("["):
                fresh = self.next_element(first=first)
            else:
                fresh = self.next_key(first=first) is not None
                if fresh:
                    self.colon()
            if not fresh:
                stack.pop()
                if not stack:
                    return
