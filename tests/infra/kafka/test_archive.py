"""Start-up archives in the cache: as many as are used, not one more for each environment."""

import os
from pathlib import Path

import pytest

from infra.kafka import _rehearsal
from infra.kafka._archive import forget_unused, is_whole
from infra.kafka.errors import BrokerError, TopicsError


def test_only_the_archives_used_last_stay_and_nothing_else_is_touched(tmp_path: Path) -> None:
    (tmp_path / "jars-4.4.0-1").mkdir()
    for age, name in enumerate(("e", "c", "a", "d", "b")):
        for suffix in (".aot", ".aot.sha256"):
            path = tmp_path / f"startup-4.4.0-{name}{suffix}"
            path.write_text("x")
            os.utime(path, (1_000_000 - age, 1_000_000 - age))
    for half_made in ("startup-4.4.0-f.2753.new", "startup-4.4.0-f.2753.new.config"):
        (tmp_path / half_made).write_text("its maker was killed")
    forget_unused(tmp_path, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "jars-4.4.0-1",
        *(f"startup-4.4.0-{name}" for name in ("c.aot", "c.aot.sha256", "e.aot", "e.aot.sha256")),
    ]
    forget_unused(tmp_path / "nobody has started yet", keep=2)


def test_a_damaged_archive_goes_with_its_seal_which_would_condemn_the_next_one(
    tmp_path: Path,
) -> None:
    archive, seal = tmp_path / "startup-4.4.0-a.aot", tmp_path / "startup-4.4.0-a.aot.sha256"
    archive.write_text("damaged")
    seal.write_text("of what was written")
    assert not is_whole(archive)
    archive.write_text("made again, its seal not there yet")
    assert not is_whole(archive)
    assert archive.exists()


async def test_a_rehearsal_without_its_topic_costs_the_archive_and_not_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse(*_: object) -> None:
        raise TopicsError({"rehearsal": "no leader after 30 s"})

    monkeypatch.setattr(_rehearsal, "create_topics", refuse)
    with pytest.raises(BrokerError, match="no leader"):  # which `provide_archive` bears
        await _rehearsal.rehearse("127.0.0.1:1")
