"""Connections to many model servers don't end at a default of the system's."""

import subprocess
import sys

import pytest

_CHANGE = """
import resource, sys
from runtime.open_files import allow_open_files
soft, hard = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
allow_open_files()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("before", "after"), [((64, 640), "640 640"), ((640, 640), "640 640")], ids=["low", "at most"]
)
def test_as_many_files_are_allowed_as_the_system_lets_us(
    before: tuple[int, int], after: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CHANGE, *map(str, before)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == after
