"""What was answered, kept at once: nothing that came back is asked again, even after a kill -9.

Beside the output lies a journal, one line for each answer in the order in which they came. Lines of
the output are written in the order of the rows, each as soon as all before it are; until then its
answers are in the journal. The journal goes when the output is complete; both go when a run ends
before it had anything.
"""

import errno
import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Self

import msgspec
from msgspec import UNSET, UnsetType

from emostream.exits import WRONG_USAGE, CommandError

_CHUNK = 1_048_576


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """One answer of the model, or why there is none."""

    row: int
    question: str
    text: str | None
    error: str | None = None


class _Line(msgspec.Struct):
    """A line of the output; its other fields don't matter here."""

    error: msgspec.Raw | UnsetType = UNSET


Known = dict[tuple[int, str], Answer]
"""Answers of rows that aren't in the output yet, by row and question."""


class Journal:
    """An output file that a later run can go on with. Use it within `with`."""

    def __init__(self, out: Path, job: Mapping[str, str]) -> None:
        """Begin `out`, or go on with it; `job` is what must be the same in both runs.

        Raises:
            CommandError: `out` belongs to another job or is complete, or somebody else writes it.
        """
        self.path = out.with_name(f"{out.name}.journal")
        self._of = out
        self.rows = 0
        """Rows that are in the output."""
        self.errors_before = 0
        """Of those that a run before wrote, the ones with an `error`."""
        self.known: Known = {}
        """Answers that came before, of rows that aren't in the output yet."""
        self._kept = False
        """Whether there is something that a later run needn't ask, or all is done."""
        begun = self.path.exists()
        if out.exists() and not begun:
            raise CommandError(
                f"{out} exists already, and isn't an interrupted run's: delete it, or name another",
                status=WRONG_USAGE,
            )
        try:
            self._journal: IO[bytes] = self.path.open("a+b", buffering=0)
            self._out: IO[bytes] = out.open("a+b", buffering=0)
        except OSError as error:
            raise CommandError(
                f"{out} can't be written: {error.strerror}", status=WRONG_USAGE
            ) from error
        try:
            fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._close()
            raise CommandError(f"{out} is being written by another run") from None
        try:
            self._resume(out, job)
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not (self._kept or self.rows or self.known):  # an input that had to be corrected, say
            self.path.unlink(missing_ok=True)
            self._of.unlink(missing_ok=True)
        self._close()

    def note(self, answer: Answer) -> None:
        """Keep an answer. It survives this process from here on.

        Raises:
            CommandError: the disk doesn't take it; the same for `write`.
        """
        self._kept = True
        self._append(self._journal, msgspec.json.encode(answer) + b"\n")

    def write(self, line: bytes) -> None:
        """Write the next row's line, without its newline."""
        self._append(self._out, line + b"\n")
        self.rows += 1

    def finish(self) -> None:
        """Every row is in the output: remove the journal."""
        self._kept = True
        self.path.unlink()

    def _append(self, file: IO[bytes], line: bytes) -> None:
        try:
            if (written := file.write(line)) != len(line):  # there was room for a part of it
                file.truncate(file.seek(0, 2) - written)  # what else is noted begins a line
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise CommandError(
                f"{self._of} can't be written: {error.strerror}; what was answered is kept: make"
                " room, and the same command goes on"
            ) from error

    def _resume(self, out: Path, job: Mapping[str, str]) -> None:
        _cut_torn_line(self._journal)
        _cut_torn_line(self._out)
        self._journal.seek(0)
        head = self._journal.readline()
        if not head:
            if self._out.seek(0, 2):
                raise CommandError(
                    f"{self.path} is empty, {out} isn't: delete both", status=WRONG_USAGE
                )
            self._journal.write(msgspec.json.encode(job) + b"\n")
            return
        try:
            self._go_on(out, job, head)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CommandError(
                f"{self.path} or {out} is damaged ({error}): delete both, and begin again",
                status=WRONG_USAGE,
            ) from error

    def _go_on(self, out: Path, job: Mapping[str, str], head: bytes) -> None:
        before = msgspec.json.decode(head, type=dict[str, Any])
        differs = [name for name in job if before.get(name) != job[name]]
        if differs:
            raise CommandError(
                f"{out} was begun with another {' and '.join(differs)}: go on with the same, or"
                f" delete it and {self.path}, or name another output",
                status=WRONG_USAGE,
            )
        decode = msgspec.json.Decoder(_Line).decode
        with out.open("rb") as lines:  # buffered: those held open are read byte by byte
            for line in lines:
                self.rows += 1
                self.errors_before += decode(line).error is not UNSET
        with self.path.open("rb") as lines:
            lines.readline()
            for line in lines:
                answer = msgspec.json.decode(line, type=Answer)
                if answer.row >= self.rows:
                    self.known[answer.row, answer.question] = answer

    def _close(self) -> None:
        self._journal.close()
        self._out.close()


def _cut_torn_line(file: IO[bytes]) -> None:
    """Remove what follows the last newline: the process ended within a write."""
    end = file.seek(0, 2)
    keep = end
    while keep:
        start = max(0, keep - _CHUNK)
        file.seek(start)
        newline = file.read(keep - start).rfind(b"\n")
        if newline >= 0:
            keep = start + newline + 1
            break
        keep = start
    if keep < end:
        file.truncate(keep)
    file.seek(0, 2)
