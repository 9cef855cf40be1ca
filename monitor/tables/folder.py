"""A table's folder: whole files only, and beside them how far the topic was exported.

    tables/events/_export.json                               how far, by partition
    tables/events/day=2026-01-31/part-00002-00000000000000100000.parquet

A file's name is its partition and the offset at which its stretch of the partition begins. A file
gets its name once it is whole and on the disk; then `_export.json` moves on. So whatever a file
holds of offsets that `_export.json` has not passed is of an export that was interrupted: the next
one removes it and writes that stretch again.
"""

import fcntl
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import IO, Final

import msgspec

from monitor.tables.errors import FolderBusy, FolderFailed, WrongFolder

_STATE: Final = "_export.json"  # readers of hive-style folders pass over names with an underscore
_LOCK: Final = "_export.lock"
NO_DAY: Final = "__HIVE_DEFAULT_PARTITION__"
"""Hive's own name for null: DuckDB, Spark and pyarrow read it as that."""
_PART: Final = re.compile(r"part-(\d{5})-(\d{20})\.parquet")


class Progress(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What was exported into a folder, and how far."""

    version: int = 1
    table: str
    topic: str
    topic_id: str = ""
    """The broker's: a topic that is created again has another. Empty where it isn't told."""
    since: str | None = None
    """Records written earlier were left out."""
    next: dict[int, int] = {}
    """By partition: the first offset that isn't exported."""
    rows: int = 0
    files: int = 0


class Folder:
    """One table's folder. Use it within `with open_folder(…)`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.progress: Progress | None = self._read()

    def begin(self, progress: Progress) -> None:
        """Set a new folder up.

        Raises:
            WrongFolder: it holds Parquet files, ours or not, and nothing that says how far they go.
        """
        if any(True for files in ("*.parquet", "*/*.parquet") for _ in self.path.glob(files)):
            raise WrongFolder(
                f"{self.path} has Parquet files and no {_STATE}: name another folder, or delete it"
            )
        self.keep(progress)

    def keep(self, progress: Progress) -> None:
        """Remember how far the export is; survives this process, and the machine, from here on."""
        value = msgspec.json.format(msgspec.json.encode(progress), indent=1) + b"\n"
        with _said(self.path):
            self._put(self.path / _STATE, lambda path: _write(path, value))
        self.progress = progress

    def put(
        self, day: date | None, partition: int, first: int, write: Callable[[Path], None]
    ) -> int:
        """Have `write` write a day's file of the stretch that begins at `first`; give its bytes.

        Without a day it is of many days, which readers take for null.
        """
        folder = self.path / f"day={NO_DAY if day is None else day.isoformat()}"
        with _said(self.path):
            folder.mkdir(exist_ok=True)
            target = folder / f"part-{partition:05}-{first:020}.parquet"
            self._put(target, write)
            return target.stat().st_size

    def clean(self) -> int:
        """Remove what an interrupted export left; give how many files that were."""
        assert self.progress is not None
        removed = 0
        with _said(self.path):
            for path in (*self.path.glob(".*.new"), *self.path.glob("day=*/.*.new")):
                path.unlink()
            for path, partition, first in list(self._parts()):
                if first >= self.progress.next.get(partition, 0):
                    path.unlink()
                    removed += 1
        return removed

    def _put(self, target: Path, write: Callable[[Path], None]) -> None:
        """Write beside, flush to the disk, rename: what has the name is whole."""
        new = target.with_name(f".{target.name}.new")  # no reader's pattern finds it
        try:
            write(new)
            _flush(new)
            new.replace(target)
        finally:
            new.unlink(missing_ok=True)
        _flush(target.parent)

    def _parts(self) -> Iterator[tuple[Path, int, int]]:
        for path in self.path.glob("day=*/part-*.parquet"):
            if found := _PART.fullmatch(path.name):
                yield path, int(found[1]), int(found[2])

    def _read(self) -> Progress | None:
        try:
            return msgspec.json.decode((self.path / _STATE).read_bytes(), type=Progress)
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise WrongFolder(
                f"{self.path / _STATE} can't be read ({reason}): name another folder"
            ) from error


@contextmanager
def open_folder(path: Path) -> Iterator[Folder]:
    """Make a folder, or go on with it; nobody else writes there meanwhile.

    Raises:
        FolderBusy: another export does.
        FolderFailed: it can't be made, or written.
    """
    lock: IO[bytes] | None = None
    try:
        with _said(path):
            path.mkdir(parents=True, exist_ok=True)
            lock = (path / _LOCK).open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FolderBusy(f"another export writes to {path}: wait for its end") from None
        yield Folder(path)
    finally:
        if lock is not None:
            lock.close()


def same_topic(progress: Progress, wanted: Progress, ends: Mapping[int, int], path: Path) -> None:
    """Check that a folder can be gone on with.

    Raises:
        WrongFolder: it holds another table or topic, or one of the same name that is gone.
    """
    elsewhere = "name another folder, or delete it to begin again"
    for name in ("version", "table", "topic", "since"):
        before, now = getattr(progress, name), getattr(wanted, name)
        if before != now and not (name == "since" and now is None):
            begun = f"with {name} {before}" if before is not None else f"without --{name}"
            raise WrongFolder(f"{path} was begun {begun}, not with {name} {now}: {elsewhere}")
    created_again = f"topic {wanted.topic} was created again since {path} was begun: {elsewhere}"
    if progress.topic_id and wanted.topic_id and progress.topic_id != wanted.topic_id:
        raise WrongFolder(created_again)
    if any(at > ends.get(partition, 0) for partition, at in progress.next.items()):
        raise WrongFolder(created_again)


@contextmanager
def _said(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FolderFailed(
            f"{path} can't be written: {error.strerror or error}. What is there is whole: run the"
            " same command again to go on"
        ) from error


def _write(path: Path, value: bytes) -> None:
    path.write_bytes(value)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
