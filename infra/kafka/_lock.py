"""The lock file: which jars make up our Kafka, each with its size and SHA-256."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

LOCK_FILE = Path(__file__).with_name("kafka.lock.toml")


@dataclass(frozen=True, slots=True, order=True)
class LockedJar:
    """One jar: its Maven coordinate `group:artifact:version`, size in bytes, SHA-256 in hex."""

    coordinate: str
    size: int
    sha256: str

    @property
    def filename(self) -> str:
        """Its name in Maven repositories and in the cache."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


@dataclass(frozen=True)
class KafkaLock:
    """The locked Kafka: its version and every jar of its class path, in class path order."""

    version: str
    jars: tuple[LockedJar, ...]

    @cached_property
    def digest(self) -> str:
        """Twelve hex digits that change with any jar: they name the cache's subfolder."""
        text = "\n".join(f"{jar.coordinate} {jar.sha256}" for jar in self.jars)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def size(self) -> int:
        """Bytes of all jars."""
        return sum(jar.size for jar in self.jars)


@cache
def read_lock() -> KafkaLock:
    """Read the committed lock file."""
    document = tomllib.loads(LOCK_FILE.read_text(encoding="utf-8"))
    jars = tuple(LockedJar(j["coordinate"], j["size"], j["sha256"]) for j in document["jar"])
    return KafkaLock(document["kafka"], jars)


def render_lock(lock: KafkaLock) -> str:
    """Write the lock file's text; `read_lock` reads the same back."""
    head = (
        "# The embedded broker's class path: written by `python -m infra.kafka.relock`, verified\n"
        "# before every start. Apache Kafka and what it needs, all Apache-2.0, MIT or BSD.\n"
        f'kafka = "{lock.version}"\n'
    )
    return head + "".join(
        f'\n[[jar]]\ncoordinate = "{j.coordinate}"\nsize = {j.size}\nsha256 = "{j.sha256}"\n'
        for j in lock.jars
    )
