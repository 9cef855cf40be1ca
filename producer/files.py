"""Files of posts as records: JSON lines, CSV, TSV; plain, gzipped, or from a pipe.

Read in chunks and parsed as they come, so that `tail -f posts.jsonl | emostream produce replay -`
sends each post when it is written, and a file of any size takes little memory.
"""

import asyncio
import codecs
import csv
import gzip
import sys
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import CancelledError as FutureCancelled
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, TypeAlias

import msgspec

from producer.errors import UnreadableFile
from producer.report import BadLine
from runtime.encodings import is_utf16
from runtime.table_rows import tsv_cells, tsv_problem

FileFormat: TypeAlias = Literal["jsonl", "csv", "tsv"]

STDIN = "-"
_CHUNK_BYTES = 64 * 1024
_MAX_RECORD_BYTES = 8 * 1024 * 1024
"""A record longer than this is a bad line: an unclosed quote would else swallow the file."""

_SUFFIXES: dict[str, FileFormat] = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv"}


class Line(NamedTuple):
    """One record of a file, as its bytes."""

    number: int
    """Of its first line, from 1."""
    data: bytes


class Row(NamedTuple):
    """One record of a file, decoded."""

    line: int
    value: Any
    """What JSON says; for CSV and TSV a dict of strings by column."""


def format_of(path: str) -> FileFormat:
    """By the file's name, less `.gz`; JSON lines where it says nothing."""
    name = Path(path.removesuffix(".gz"))
    return _SUFFIXES.get(name.suffix.lower(), "jsonl")


class PostFile:
    """One file, or stdin (`-`), read once or again from its start."""

    def __init__(self, path: str, *, file_format: FileFormat | None = None) -> None:
        """Name a file; it is opened by `rows`.

        Raises:
            UnreadableFile: there is no such file, or it may not be read.
        """
        self.path = path
        self.format: FileFormat = file_format or format_of(path)
        self._size = 0
        self._taken = 0
        if path != STDIN:
            with _opened(path) as file:
                self._size = 0 if path.endswith(".gz") else file.seek(0, 2)

    @property
    def fraction(self) -> float | None:
        """How much of it the current pass has taken, 0 to 1; None for a pipe or a gzipped file."""
        return min(self._taken / self._size, 1.0) if self._size else None

    async def rows(self, stop: asyncio.Event) -> AsyncIterator[Row | BadLine]:
        """Yield every record from the start; a pipe until it closes or `stop` is set.

        Raises:
            UnreadableFile: it is of another kind, a header can't be read, or reading failed.
        """
        table = _Table(self.format) if self.format != "jsonl" else None
        parse = table or _json_row
        self._taken = 0
        lines = _Lines(quoted=self.format == "csv")
        chunks = _stdin(stop) if self.path == STDIN else _file(self.path)
        try:
            async for chunk in chunks:
                if not self._taken:
                    self._refuse_another_kind(chunk)
                self._taken += len(chunk)
                for line in lines.feed(chunk):
                    if (row := _parsed(parse, line)) is not None:
                        self._refuse_without_header(table, row)
                        yield row
        except (OSError, EOFError, zlib.error) as error:
            raise UnreadableFile(f"{self.path}: {type(error).__name__} while reading") from error
        if not stop.is_set():  # what a stopped pipe leaves is half a line
            for line in lines.end():
                if (row := _parsed(parse, line)) is not None:
                    self._refuse_without_header(table, row)
                    yield row

    def _refuse_another_kind(self, start: bytes) -> None:
        """Else each line of it would be a bad one, and none would say why."""
        if is_utf16(start):
            raise UnreadableFile(f"{self.path} is UTF-16: save it again as UTF-8")
        if self.format == "jsonl" and start.removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"[":
            raise UnreadableFile(
                f"{self.path} holds one JSON list, and not an object on each line: jq -c '.[]'"
                " makes lines of it"
            )

    def _refuse_without_header(self, table: "_Table | None", row: Row | BadLine) -> None:
        """Else the first post that can be read would be taken for the header, and be quoted."""
        if table is not None and not table.has_header and isinstance(row, BadLine):
            raise UnreadableFile(f"{self.path}: the header, line {row.line}: {row.reason}")


class _Lines:
    """Cuts chunks into records: physical lines, joined while a CSV quote is open."""

    def __init__(self, *, quoted: bool) -> None:
        self._quoted = quoted
        self._number = 0
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._open: list[bytes] = []
        self._open_bytes = 0
        self._quotes = 0

    def feed(self, chunk: bytes) -> Iterator[Line]:
        *whole, rest = chunk.split(b"\n")
        if whole:
            whole[0] = b"".join((*self._rest, whole[0]))
            self._rest, self._rest_bytes = [], 0
        if rest and self._rest_bytes <= _MAX_RECORD_BYTES:  # else it is too long already
            self._rest.append(rest)
            self._rest_bytes += len(rest)
        for line in whole:
            yield from self._line(line)

    def end(self) -> Iterator[Line]:
        if self._rest:
            yield from self._line(b"".join(self._rest))
        if self._open:
            yield self._close()

    def _line(self, line: bytes) -> Iterator[Line]:
        self._number += 1
        self._open.append(line)
        self._open_bytes += len(line)
        if self._quoted:
            self._quotes += line.count(b'"')
        if self._quotes % 2 == 0 or self._open_bytes > _MAX_RECORD_BYTES:
            yield self._close()

    def _close(self) -> Line:
        closed = Line(self._number - len(self._open) + 1, b"\n".join(self._open))
        self._open, self._open_bytes, self._quotes = [], 0, 0
        return closed


def _parsed(parse: Any, line: Line) -> Row | BadLine | None:
    """The record; None for a blank line and a header."""
    data = line.data
    if line.number == 1:
        data = data.removeprefix(codecs.BOM_UTF8)  # the byte order mark that spreadsheets write
    if not data.strip():
        return None
    if len(data) > _MAX_RECORD_BYTES:
        return BadLine(line=line.number, reason=f"longer than {_MAX_RECORD_BYTES} bytes")
    try:
        value = parse(data)
    except UnicodeDecodeError as error:
        return BadLine(line=line.number, reason=f"invalid UTF-8 at byte {error.start} of a text")
    except (msgspec.DecodeError, RecursionError):
        return BadLine(line=line.number, reason="not JSON")
    except _BadRowError as error:
        return BadLine(line=line.number, reason=str(error))
    return None if value is None else Row(line.number, value)


_json_row = msgspec.json.Decoder().decode


class _BadRowError(ValueError):
    """A row that doesn't fit its header."""


class _Table:
    """Rows as dicts, by the header's names: CSV (RFC 4180), or TSV by `runtime.table_rows`."""

    def __init__(self, file_format: FileFormat) -> None:
        self._quoted = file_format == "csv"
        self._header: list[str] | None = None

    @property
    def has_header(self) -> bool:
        return self._header is not None

    def __call__(self, data: bytes) -> dict[str, str] | None:
        text = data.decode().removesuffix("\r")
        cells = self._cells(text)
        if self._header is None:
            self._header = [name.strip() for name in cells]
            return None
        if (found := len(cells)) != (columns := len(self._header)):
            problem = None if self._quoted else tsv_problem(text, found, columns)
            raise _BadRowError(problem or f"{found} cells, the header has {columns}")
        return dict(zip(self._header, cells, strict=True))

    def _cells(self, text: str) -> list[str]:
        if not self._quoted:
            return tsv_cells(text, None if self._header is None else len(self._header))
        try:
            (cells,) = csv.reader([text], strict=True)
        except (csv.Error, ValueError):
            raise _BadRowError(
                "not CSV: an open quote, text after one, or a cell over 128 KiB"
            ) from None
        return cells


def _opened(path: str) -> BinaryIO:
    try:
        if path.endswith(".gz"):
            return gzip.open(path, "rb")  # type: ignore[return-value]  # reads as one
        return Path(path).open("rb")
    except OSError as error:
        raise UnreadableFile(f"{path}: {error.strerror}") from error


async def _file(path: str) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(_opened, path) as file:
        # 64 KB from a disk are quicker read than handed to a thread.
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


async def _stdin(stop: asyncio.Event) -> AsyncIterator[bytes]:
    """Chunks as they come: what is there is not held back until a chunk is full.

    A thread of its own reads, and as a daemon: a read that never returns must keep neither the
    event loop nor the end of the program waiting.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | OSError] = asyncio.Queue(maxsize=4)

    def put(chunk: bytes | OSError) -> None:
        putting = queue.put(chunk)
        try:
            asyncio.run_coroutine_threadsafe(putting, loop).result()
        except RuntimeError:
            putting.close()
            raise

    threading.Thread(target=_pump_stdin, args=(put,), name="stdin", daemon=True).start()
    stopped = asyncio.ensure_future(stop.wait())
    try:
        while True:
            chunk = asyncio.ensure_future(queue.get())
            await asyncio.wait({chunk, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not chunk.done():
                chunk.cancel()
                return
            data = chunk.result()
            if isinstance(data, OSError):
                raise data
            if not data:
                return
            yield data
    finally:
        stopped.cancel()


def _pump_stdin(put: Callable[[bytes | OSError], None]) -> None:
    read = sys.stdin.buffer.read1  # type: ignore[union-attr]  # a BufferedReader, or a test's own
    # Either error: the loop has ended, and so has the run.
    with suppress(RuntimeError, FutureCancelled):
        try:
            while chunk := read(_CHUNK_BYTES):
                put(chunk)
            put(b"")
        except OSError as error:  # of a terminal that is gone, say
            put(error)
