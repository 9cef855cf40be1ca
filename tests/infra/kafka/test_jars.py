"""Fetching and verifying the jars, on small stand-ins for them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.kafka import BrokerDownloadError, BrokerIntegrityError, _jars
from infra.kafka._cache import kafka_cache
from infra.kafka._jars import provide_jars, verify_jars
from infra.kafka._lock import LOCK_FILE, KafkaLock, LockedJar, read_lock, render_lock

_CONTENTS = {f"org.example:jar{n}:1.0": b"contents of jar %d" % n for n in range(3)}
_LOCK = KafkaLock(
    "4.0.0",
    tuple(LockedJar(c, len(b), hashlib.sha256(b).hexdigest()) for c, b in _CONTENTS.items()),
)


def _fill(folder: Path) -> Path:
    folder.mkdir()
    for jar in _LOCK.jars:
        (folder / jar.filename).write_bytes(_CONTENTS[jar.coordinate])
    return folder


def _serve(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[LockedJar, Path], bytes]
) -> list[str]:
    """Put a repository in the place of Maven Central; the list is of what was asked of it."""
    asked: list[str] = []

    def download(jar: LockedJar, aside: Path) -> Path:
        asked.append(jar.coordinate)
        aside.mkdir(parents=True)
        path = aside / jar.filename
        path.write_bytes(answer(jar, path))
        return path

    monkeypatch.setattr(_jars, "_download", download)
    monkeypatch.setattr(_jars, "_ATTEMPTS", 2)
    return asked


def _join_downloads() -> None:
    """Wait for those that were under way when another one failed."""
    for thread in threading.enumerate():
        if thread.name.startswith("kafka-jars"):
            thread.join()


def _found(folder: Path, pattern: str) -> list[Path]:
    return list(folder.rglob(pattern))


def test_the_committed_lock_names_one_kafka_4_with_a_logging_binding() -> None:
    lock = read_lock()
    kafka = [jar for jar in lock.jars if jar.coordinate.startswith("org.apache.kafka:")]
    assert lock.version.startswith("4.")
    assert {jar.coordinate.rpartition(":")[2] for jar in kafka} == {lock.version}
    assert any(jar.filename.startswith("slf4j-simple-1.7.") for jar in lock.jars)
    assert len({jar.filename for jar in lock.jars}) == len(lock.jars)


def test_the_lock_file_is_as_the_locking_tool_writes_it() -> None:
    lock = read_lock()
    assert render_lock(lock) == LOCK_FILE.read_text(encoding="utf-8")


def test_jars_as_locked_pass(tmp_path: Path) -> None:
    assert verify_jars(_LOCK, _fill(tmp_path / "jars")) == []


def test_one_changed_byte_is_refused_and_left_to_be_looked_at(tmp_path: Path) -> None:
    folder = _fill(tmp_path / "jars")
    jar = folder / _LOCK.jars[1].filename
    jar.write_bytes(jar.read_bytes().replace(b"c", b"k", 1))
    with pytest.raises(BrokerIntegrityError, match=r"jar1-1\.0\.jar is not org\.example:jar1:1\.0"):
        verify_jars(_LOCK, folder)
    assert jar.exists()


def test_a_shortened_jar_is_refused(tmp_path: Path) -> None:
    folder = _fill(tmp_path / "jars")
    (folder / _LOCK.jars[0].filename).write_bytes(b"short")
    with pytest.raises(BrokerIntegrityError, match="another size, 5 bytes"):
        verify_jars(_LOCK, folder)


async def test_only_what_is_missing_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _serve(monkeypatch, lambda jar, _: _CONTENTS[jar.coordinate])
    folder = await provide_jars(_LOCK, tmp_path)
    assert sorted(asked) == sorted(_CONTENTS)
    (folder / _LOCK.jars[2].filename).unlink()
    asked.clear()
    await provide_jars(_LOCK, tmp_path)
    assert asked == ["org.example:jar2:1.0"]
    assert verify_jars(_LOCK, folder) == []


async def test_a_broken_download_leaves_nothing_half_there_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(jar: LockedJar, path: Path) -> bytes:
        if jar is _LOCK.jars[0]:
            path.write_bytes(b"half a j")
            raise ConnectionError("connection reset")
        return _CONTENTS[jar.coordinate]

    _serve(monkeypatch, answer)
    with pytest.raises(BrokerDownloadError, match=r"jar0:1\.0 .*connection reset.*EMOSTREAM_MAVEN"):
        await provide_jars(_LOCK, tmp_path)
    assert not _found(tmp_path, f"{_LOCK.jars[0].filename}*")
    _serve(monkeypatch, lambda jar, _: _CONTENTS[jar.coordinate])
    assert verify_jars(_LOCK, await provide_jars(_LOCK, tmp_path)) == []
    assert not _found(tmp_path, "staging-*")


async def test_a_repository_that_serves_something_else_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _serve(monkeypatch, lambda _jar, _path: b"<html>a captive portal</html>")
    with pytest.raises(BrokerIntegrityError, match="does https://repo"):
        await provide_jars(_LOCK, tmp_path)
    assert len(asked) <= len(_LOCK.jars)
    _join_downloads()
    assert not _found(tmp_path, "*.jar")


async def test_a_download_that_ends_after_the_error_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error doesn't wait for it, and the staging folder that it writes to is gone by then."""
    refused = threading.Event()

    def answer(jar: LockedJar, path: Path) -> bytes:
        if jar is not _LOCK.jars[0]:
            refused.wait()
            path.parent.mkdir(parents=True, exist_ok=True)
        return b"something else"

    _serve(monkeypatch, answer)
    with pytest.raises(BrokerIntegrityError):
        await provide_jars(_LOCK, tmp_path)
    refused.set()
    _join_downloads()
    assert not _found(tmp_path, "staging-*")


def test_the_cache_is_where_one_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOSTREAM_CACHE_DIR", str(tmp_path / "named"))
    assert kafka_cache(None) == tmp_path / "named" / "kafka"
    assert kafka_cache(tmp_path / "chosen") == tmp_path / "chosen" / "kafka"
