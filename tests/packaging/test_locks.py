"""The locks hold what pyproject.toml asks for: one version of each, every file by its hash."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
BASE: list[str] = PYPROJECT["project"]["dependencies"]
EXTRAS: dict[str, list[str]] = PYPROJECT["project"]["optional-dependencies"]
GROUPS: dict[str, list[Any]] = PYPROJECT["dependency-groups"]

# As .ci/lock makes them: the base and extras, then groups.
CONTENTS: dict[str, tuple[list[str], list[str]]] = {
    "run": (BASE, ["build"]),
    "service": (
        BASE + EXTRAS["registry"] + EXTRAS["tracing"] + EXTRAS["feeds"],
        ["build"],
    ),
    "demo": (BASE + EXTRAS["embedded"], ["build"]),
    "light": (BASE + EXTRAS["embedded"], ["build", "light"]),
    "dev": (BASE + [line for extra in EXTRAS.values() for line in extra], ["build", "dev"]),
    "bench": (BASE + EXTRAS["embedded"], ["build", "bench"]),
    "fuzz": ([], ["build", "fuzz"]),
    "audit": ([], ["build", "audit"]),
    "image": ([], ["build", "image"]),
    "lock": ([], ["build", "lock"]),
}


def group(name: str) -> list[str]:
    lines: list[str] = []
    for entry in GROUPS[name]:
        lines += [entry] if isinstance(entry, str) else group(entry["include-group"])
    return lines


def pins(path: Path) -> dict[str, set[str]]:
    """Versions by name: several where platforms or Pythons differ."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", path.read_text(), re.MULTILINE):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


def test_every_lock_has_its_contents_here() -> None:
    assert {path.stem for path in (ROOT / "locks").iterdir()} == set(CONTENTS)


@pytest.mark.parametrize("target", CONTENTS)
def test_a_lock_pins_what_is_asked_for(target: str) -> None:
    """Where this fails, pyproject.toml was changed: `make lock` writes the locks again."""
    lines, groups = CONTENTS[target]
    pinned = pins(ROOT / "locks" / f"{target}.txt")
    for line in (*lines, *(line for name in groups for line in group(name))):
        wanted = Requirement(line)
        if wanted.name == "emostream":
            continue
        versions = pinned.get(canonicalize_name(wanted.name), set())
        assert versions, line
        assert all(wanted.specifier.contains(version) for version in versions), line


@pytest.mark.parametrize("target", CONTENTS)
def test_a_lock_has_the_versions_of_the_constraints(target: str) -> None:
    everything = pins(ROOT / "constraints.txt")
    for name, versions in pins(ROOT / "locks" / f"{target}.txt").items():
        assert versions <= everything[name], name


@pytest.mark.parametrize("target", CONTENTS)
def test_every_pin_of_a_lock_has_hashes(target: str) -> None:
    text = (ROOT / "locks" / f"{target}.txt").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", text.strip())
    assert entries
    for entry in entries:
        first, *hashes = entry.split("\\\n")
        assert hashes, first
        assert all(re.fullmatch(r"\s+--hash=sha256:[0-9a-f]{64}\s*", line) for line in hashes)


@pytest.mark.parametrize("target", ["run", "service", "demo", "light", "bench"])
def test_only_development_and_training_need_torch(target: str) -> None:
    assert not {"torch", "transformers"} & set(pins(ROOT / "locks" / f"{target}.txt"))


def test_the_build_backend_is_the_pinned_one() -> None:
    (backend,) = PYPROJECT["build-system"]["requires"]
    assert [backend] == GROUPS["build"]
    assert "==" in backend
