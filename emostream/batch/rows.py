"""The rows of an input file, one after the other: EmoLLMs' instructions, or posts."""

import codecs
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Self

import msgspec

from emollm.prompts import is_blank
from emostream.exits import WRONG_USAGE, CommandError
from runtime.encodings import is_utf16
from runtime.table_rows import TableRow, separator_hint, table_rows

MAX_LINE_BYTES = 1_048_576
"""A longer line isn't read: memory is bounded by the rows in flight times this."""
_SAMPLE_BYTES = 1_048_576
"""From either end of a file: tells two inputs apart without reading all of a large one."""
_GZIP = b"\x1f\x8b"


class Row(msgspec.Struct, frozen=True):
    """One row, from 0. `instruction` or `text` is to be asked; with a `problem` neither is."""

    number: int
    fields: dict[str, Any] = {}
    instruction: str | None = None
    text: str | None = None
    problem: str | None = None


class Rows:
    """A file's rows. Iterate once, within `with`.

    JSON lines with `instruction`, as the EmoLLMs' `data/test.json` has them, or with a text; CSV or
    TSV with a text column; each gzipped or not. A line that can't be read is a row with a
    `problem`.
    """

    def __init__(self, path: Path, text_column: str) -> None:
        """Raises CommandError when the file can't be opened, or its format isn't known."""
        self._path = path
        self._text_column = text_column
        suffix = Path(path.name.lower().removesuffix(".gz")).suffix
        self._tabs = suffix == ".tsv"
        self._table = suffix in {".csv", ".tsv"}
        if not self._table and path.suffix.lower() not in {".jsonl", ".json", ".gz"}:
            raise self._error("must end in .jsonl, .json, .csv or .tsv, with or without .gz")
        if path.is_fifo():  # and opening one waits for its writer
            raise self._error("is a pipe, which can't be read again to go on: write a file first")
        try:
            self._file: BinaryIO = path.open("rb")
        except OSError as error:
            raise self._error(f"can't be read: {error.strerror}") from error
        self.size = path.stat().st_size
        """Bytes of the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def position(self) -> int:
        """Bytes of the file that were read so far."""
        return 0 if self._file.closed else min(self._file.tell(), self.size)

    def fingerprint(self) -> str:
        """Tell the file from another: its size, and a digest of its first and last megabyte."""
        digest = hashlib.blake2b(str(self.size).encode(), digest_size=12)
        with self._path.open("rb") as file:
            digest.update(file.read(_SAMPLE_BYTES))
            file.seek(max(0, self.size - _SAMPLE_BYTES))
            digest.update(file.read(_SAMPLE_BYTES))
        return digest.hexdigest()

    def __iter__(self) -> Iterator[Row]:
        zipped = self._file.read(2) == _GZIP
        self._file.seek(0)
        plain: BinaryIO = (
            gzip.GzipFile(fileobj=self._file) if zipped else self._file  # type: ignore[assignment]  # reads as one
        )
        try:
            yield from self._of_table(plain) if self._table else self._of_lines(plain)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise self._error(f"can't be unpacked: {error}; fetch or pack it again") from error

    def _of_lines(self, stream: BinaryIO) -> Iterator[Row]:
        decode = msgspec.json.Decoder(dict[str, Any]).decode
        number = 0
        while line := stream.readline(MAX_LINE_BYTES + 1):
            if len(line) > MAX_LINE_BYTES:
                while not line.endswith(b"\n") and (line := stream.readline(MAX_LINE_BYTES)):
                    pass
                yield Row(number, problem=f"the line is longer than {MAX_LINE_BYTES:,} bytes")
            elif not line.strip():
                continue
            else:
                if not number and is_utf16(line):
                    raise self._error("is UTF-16: save it again as UTF-8")
                line = line.removeprefix(b"" if number else codecs.BOM_UTF8)
                if not number and line.lstrip().startswith(b"["):
                    raise self._error(
                        "holds one JSON list, and not an object on each line: jq -c '.[]' makes"
                        " lines of it"
                    )
                try:
                    fields = decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    yield Row(number, problem=f"not a JSON object: {error}")
                else:
                    yield self._row(number, fields)
            number += 1

    def _of_table(self, stream: BinaryIO) -> Iterator[Row]:
        # Of a TSV only \n ends a row; a CSV's rows are found by its reader.
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="\n" if self._tabs else "")
        line = 0
        try:
            rows = table_rows(text, tabs=self._tabs)
            names = self._header(next(rows, None))
            for number, row in enumerate(rows):
                line = row.line
                fields = dict(zip(names, row.cells, strict=False))
                if row.problem is not None:
                    yield Row(number, fields, problem=row.problem)
                else:
                    yield self._row(number, fields)
        except UnicodeDecodeError as error:
            place = f" after line {line}" if line else ""
            raise self._error(f"isn't UTF-8{place}: save it again as UTF-8") from error
        finally:
            text.detach()  # the file is closed by whoever opened it

    def _header(self, row: TableRow | None) -> list[str]:
        if row is not None and row.problem is not None:
            raise self._error(f"can't be read: {row.problem}")
        names = [] if row is None else row.cells
        if self._text_column not in names:
            fix = separator_hint(names) or "name the text's with --text-column"
            raise self._error(
                f"has no column {self._text_column!r} but {', '.join(names) or 'none'}: {fix}"
            )
        if twice := [name for name in names if names.count(name) > 1 and name]:
            raise self._error(f"has the column {twice[0]!r} twice: rename one of them")
        return names

    def _row(self, number: int, fields: dict[str, Any]) -> Row:
        instruction = fields.get("instruction")
        if isinstance(instruction, str) and not is_blank(instruction) and not self._table:
            return Row(number, fields, instruction=instruction)
        text = fields.get(self._text_column)
        if not isinstance(text, str):
            problem = f"neither an instruction nor a text in {self._text_column!r}"
            return Row(number, fields, problem=problem)
        if is_blank(text):
            return Row(number, fields, problem="nothing visible in the text")
        return Row(number, fields, text=text)

    def _error(self, what: str) -> CommandError:
        return CommandError(f"{self._path} {what}", status=WRONG_USAGE)
