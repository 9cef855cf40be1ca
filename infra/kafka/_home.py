"""The folder of one broker: its records, its properties, its log."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from infra.kafka.errors import BrokerError

# A log longer than this at a start is set aside as kafka.log.1: at most twice this is kept.
_ROTATE_BYTES = 8 * 1024 * 1024
_TAIL_LINES = 15
_ERROR_LINES = 8
# Only the end of a launch's log is read for its tail.
_TAIL_BYTES = 256 * 1024


@dataclass(slots=True)
class BrokerHome:
    """Paths of one broker, and what its log says.

    Attributes:
        folder: everything is in here.
        temporary: it was made by us and goes with us.
        failures: where the log of a temporary home that failed is kept: the latest one.
    """

    folder: Path
    temporary: bool
    failures: Path
    _launched_at: int = 0

    @classmethod
    def open(cls, chosen: Path | None, *, failures: Path) -> Self:
        """Take or make the folder.

        Raises:
            BrokerError: it can't be made or written.
        """
        if chosen is None:
            # Resolved: macOS's /var is a link, and Kafka compares paths.
            folder = Path(tempfile.mkdtemp(prefix="emostream-kafka-")).resolve()
        else:
            folder = chosen.expanduser().absolute()
        home = cls(folder, chosen is None, failures)
        try:
            home.records.mkdir(parents=True, exist_ok=True)
            home.log.touch()
        except OSError as error:
            raise BrokerError(
                f"the data folder {folder} can't be written ({error.strerror}); name another",
            ) from error
        return home

    @property
    def records(self) -> Path:
        """Kafka's log.dirs."""
        return self.folder / "records"

    @property
    def properties(self) -> Path:
        """The server.properties of the latest start."""
        return self.folder / "server.properties"

    @property
    def log(self) -> Path:
        """What Kafka and Java have printed, over all starts."""
        return self.folder / "kafka.log"

    @property
    def temp(self) -> Path:
        """Java's own temporary files, emptied at each start."""
        return self.folder / "temp"

    def read_cluster_id(self) -> str | None:
        """Read the identity it was formatted with; None: not formatted yet."""
        try:
            lines = (self.records / "meta.properties").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return None
        return next((ln.partition("=")[2] for ln in lines if ln.startswith("cluster.id=")), None)

    def prepare_launch(self) -> None:
        """Empty the temporary files, set a long log aside, and note where the new part begins."""
        shutil.rmtree(self.temp, ignore_errors=True)
        self.temp.mkdir()
        if self.log.exists() and self.log.stat().st_size > _ROTATE_BYTES:
            self.log.replace(self.log.with_name("kafka.log.1"))
        self.log.touch()
        self._launched_at = self.log.stat().st_size

    def launch_log(self) -> str:
        """Read the end of what was logged since the latest launch."""
        with self.log.open("rb") as file:
            file.seek(max(self._launched_at, self.log.stat().st_size - _TAIL_BYTES))
            return file.read().decode(errors="replace")

    def tail(self) -> str:
        """Give the log's decisive lines: the first error with what follows it, then the last."""
        lines = self.launch_log().splitlines()
        end = max(0, len(lines) - _TAIL_LINES)
        first = next((i for i, line in enumerate(lines) if " ERROR " in line), end)
        shown = lines[first : min(first + _ERROR_LINES, end)]
        if shown and first + _ERROR_LINES < end:
            shown.append("…")
        return "\n".join([*shown, *lines[end:]]) or "(nothing)"

    def keep_log(self) -> Path:
        """Give the path of a log that will still be there when a temporary home is gone."""
        if not self.temporary:
            return self.log
        kept = self.failures / "kafka-failed.log"
        try:
            shutil.copyfile(self.log, kept)
        except OSError:  # the failure itself matters more than its log
            return self.log
        return kept

    def remove(self) -> None:
        """Remove a temporary folder; another is left alone."""
        if self.temporary:
            shutil.rmtree(self.folder, ignore_errors=True)


def new_cluster_id() -> str:
    """Draw a cluster id as Kafka does: 16 random bytes in base64, no leading dash."""
    while True:
        text = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):  # it would be taken for an option
            return text
