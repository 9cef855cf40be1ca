"""Start-up archives in the cache: as many as are used, not one more for each environment."""

import os
from pathlib import Path

from infra.kafka._archive import forget_unused


def test_only_the_archives_used_last_stay_and_nothing_else_is_touched(tmp_path: Path) -> None:
    (tmp_path / "jars-4.4.0-1").mkdir()
    for age, name in enumerate(("e", "c", "a", "d", "b")):
        for suffix in (".aot", ".aot.sha256"):
            path = tmp_path / f"startup-4.4.0-{name}{suffix}"
            path.write_text("x")
            os.utime(path, (1_000_000 - age, 1_000_000 - age))
    forget_unused(tmp_path, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "jars-4.4.0-1",
        *(f"startup-4.4.0-{name}" for name in ("c.aot", "c.aot.sha256", "e.aot", "e.aot.sha256")),
    ]
    forget_unused(tmp_path / "nobody has started yet", keep=2)
