"""One instruction and its answer, and the files that hold many.

Three forms are read, as JSON lines or as one JSON list, gzipped or not:

- the authors' training files: `{"conversations": [{"from": "human", "value": "Task: …"},
  {"from": "assistant", "value": "0.734"}]}`, with or without an `id`;
- the authors' test files: `{"instruction": "Task: …", "input": "", "output": "0.734"}`.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from training.evaluation.errors import DataError

_GZIP: Final = b"\x1f\x8b"
_NO_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_HUMAN: Final = frozenset({"human", "user"})
_ASSISTANT: Final = frozenset({"assistant", "gpt"})


class Record(msgspec.Struct, frozen=True):
    """What the model is asked, without its wrapper, and what it is to answer."""

    instruction: str
    answer: str


def read(path: Path) -> list[Record]:
    """Read the records of a file.

    Raises:
        DataError: an entry can't be read; names its line, or its place in the list.
    """
    if not path.is_file():
        raise DataError(path, "there is no such file")
    found = [_record(path, number, entry) for number, entry in _entries(path)]
    if not found:
        raise DataError(path, "it holds no records")
    return found


def write(records: Iterable[Record], path: Path) -> int:
    """Write records as the authors' JSON lines, whole or not at all; give their number.

    Raises:
        DataError: the file can't be written.
    """
    partly = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partly.open("wb") as lines:
            count = _write(records, lines)
        partly.replace(path)
    except OSError as error:
        raise DataError(path, f"it can't be written: {error.strerror}") from error
    finally:
        with suppress(OSError):  # gone when all went well, or never there
            partly.unlink()
    return count


def _write(records: Iterable[Record], lines: IO[bytes]) -> int:
    encode = msgspec.json.encode
    count = 0
    for count, record in enumerate(records, start=1):
        turns = [
            {"from": "human", "value": record.instruction},
            {"from": "assistant", "value": record.answer},
        ]
        lines.write(encode({"id": str(count), "conversations": turns}) + b"\n")
    return count


def _entries(path: Path) -> Iterator[tuple[int, Any]]:
    """The JSON values of a file, with their lines or places."""
    try:
        data = path.read_bytes()
        if data.startswith(_GZIP):
            data = gzip.decompress(data)
        data = data.removeprefix(codecs.BOM_UTF8)
        if data.lstrip().startswith(b"["):
            yield from enumerate(msgspec.json.decode(data, type=list[Any]), start=1)
            return
    except (OSError, EOFError, zlib.error, *_NO_JSON) as error:
        raise DataError(path, f"it can't be read: {error}") from error
    for number, line in enumerate(data.split(b"\n"), start=1):
        if line.strip():
            try:
                yield number, msgspec.json.decode(line)
            except _NO_JSON as error:
                raise DataError(path, f"no JSON: {error}", line=number) from error


def _record(path: Path, number: int, entry: Any) -> Record:
    if not isinstance(entry, dict):
        raise DataError(path, "no JSON object", line=number)
    if "conversations" in entry:
        asked, answered = _turns(path, number, entry["conversations"])
    elif "instruction" in entry:
        asked, answered = entry["instruction"], entry.get("output")
        if entry.get("input"):
            raise DataError(
                path,
                "`input` isn't empty: put it into the instruction, as it is asked",
                line=number,
            )
    else:
        raise DataError(path, "neither `conversations` nor `instruction`", line=number)
    if not (isinstance(asked, str) and asked.strip()):
        raise DataError(path, "an instruction that is no text", line=number)
    if not (isinstance(answered, str) and answered.strip()):
        raise DataError(path, "an answer that is no text", line=number)
    return Record(asked, answered)


def _turns(path: Path, number: int, turns: Any) -> tuple[Any, Any]:
    if isinstance(turns, list) and all(isinstance(turn, dict) for turn in turns):
        who = [str(turn.get("from")).lower() for turn in turns]
        if len(who) == 2 and who[0] in _HUMAN and who[1] in _ASSISTANT:
            return turns[0].get("value"), turns[1].get("value")
    raise DataError(
        path, "a conversation must have two turns, of `human` and of `assistant`", line=number
    )
