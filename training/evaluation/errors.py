"""What a file to be scored can have wrong with it."""

from pathlib import Path

from runtime.errors import QuotableError


class DataError(QuotableError):
    """A file can't be scored. The message names file and line, and says what is expected there."""

    def __init__(self, path: Path, what: str, *, line: int | None = None) -> None:
        place = f"{path}, line {line}" if line else str(path)
        super().__init__(f"{place}: {what}")
