"""Write the lock file again: `python -m infra.kafka.relock [VERSION]`.

Resolves the newest (or the named) Kafka with jgo into a throw-away folder. Kafka is resolved by
itself: with a second coordinate beside it, jgo takes the versions of both for a common
bill of materials and picks kafka-clients 3.9.1, which breaks at start. The logging binding is
therefore added afterwards, as a single jar without dependencies of its own.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from infra.kafka._jars import sha256_of
from infra.kafka._lock import LOCK_FILE, KafkaLock, LockedJar, render_lock
from infra.kafka.errors import BrokerError

_KAFKA = "org.apache.kafka:kafka_2.13"
# Kafka speaks slf4j 1.7 and brings no binding, so it would log nothing. This one writes to the
# standard error, which is our log file, where the JVM's own last words go, too.
_BINDING = "org.slf4j:slf4j-simple"


def resolve(version: str = "RELEASE") -> KafkaLock:
    """Resolve and download a Kafka, and describe it as a lock.

    Raises:
        BrokerError: the jars don't fit together.
    """
    from jgo.maven import MavenContext  # noqa: PLC0415 - an extra

    with tempfile.TemporaryDirectory(prefix="emostream-relock-") as folder:
        context = MavenContext(repo_cache=Path(folder), timeout=30)
        roots, others = context.resolver.resolve([context.create_dependency(f"{_KAFKA}:{version}")])
        artifacts = {dep.artifactId: dep.artifact for dep in (*roots, *others)}
        slf4j = artifacts["slf4j-api"].version
        binding = context.create_dependency(f"{_BINDING}:{slf4j}").artifact
        jars = tuple(_describe(artifact) for artifact in (*artifacts.values(), binding))
    kafka = artifacts["kafka_2.13"].version
    strangers = [
        j.coordinate
        for j in jars
        if j.coordinate.startswith("org.apache.kafka:") and not j.coordinate.endswith(f":{kafka}")
    ]
    if strangers:
        raise BrokerError(f"Kafka {kafka} was resolved with other versions' jars: {strangers}")
    return KafkaLock(kafka, jars)


def _describe(artifact: Any) -> LockedJar:
    path = Path(artifact.resolve())
    coordinate = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
    return LockedJar(coordinate, path.stat().st_size, sha256_of(path))


def main() -> None:
    """Rewrite kafka.lock.toml."""
    lock = resolve(*sys.argv[1:2])
    LOCK_FILE.write_text(render_lock(lock), encoding="utf-8")
    sys.stdout.write(f"Kafka {lock.version}: {len(lock.jars)} jars, {lock.size} bytes\n")


if __name__ == "__main__":
    main()
