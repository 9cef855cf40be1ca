"""Files of labels and predictions, gzipped or not."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from training.evaluation.errors import DataError

_GZIP = b"\x1f\x8b"


def format_of(path: Path) -> str:
    """What a file's name ends with, in small letters and less `.gz`: `.csv`."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


@contextmanager
def unpacked(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, by its first bytes unpacked.

    Raises:
        DataError: it can't be read or unpacked, also while it is read.
    """
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == _GZIP
            file.seek(0)
            yield cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if zipped else file
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(path, f"it can't be unpacked: {error}") from error
    except OSError as error:
        raise DataError(path, f"it can't be read: {error.strerror}") from error
