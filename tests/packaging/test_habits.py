"""CI, commit hooks and make: what is claimed about Pythons agrees, and a refusal is a sentence."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]


def claimed() -> list[str]:
    """The Pythons of the classifiers."""
    text = "\n".join(PROJECT["classifiers"])
    return re.findall(r"Programming Language :: Python :: (\d\.\d+)$", text, re.MULTILINE)


@pytest.mark.parametrize(
    "schema", ["vendor.github-workflows", "custom.github-workflows-require-timeout"]
)
def test_the_hosted_workflows_are_well_formed(schema: str) -> None:
    pytest.importorskip("check_jsonschema", reason="of `make test`, not `make unit-light`")
    files = list(WORKFLOW.parent.iterdir())
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_commit_hooks_are_well_formed() -> None:
    pytest.importorskip("pre_commit", reason="of `make test`, not `make unit-light`")
    subprocess.run([sys.executable, "-m", "pre_commit", "validate-config"], cwd=ROOT, check=True)


def test_the_hosted_workflow_tests_every_python_that_is_claimed() -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == claimed()


def test_ci_runs_what_a_contributor_runs() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    workflow = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    assert "make test PYTHON=python" in [
        step.get("run") for step in workflow["jobs"]["test"]["steps"]
    ]


def test_every_python_that_is_claimed_may_install_it() -> None:
    allowed = SpecifierSet(PROJECT["requires-python"])
    assert all(allowed.contains(f"{version}.0") for version in claimed())
    assert not allowed.contains("3.10.13")
    assert not allowed.contains("3.15.0")


@pytest.mark.parametrize("version", [(3, 10), (3, 15)])
def test_make_refuses_an_untried_python_in_a_sentence(
    version: tuple[int, int], tmp_path: Path
) -> None:
    done = make("lint", python(version, tmp_path), tmp_path / "venv")
    assert done.returncode == 2
    assert "emostream runs on Python 3.11 to 3.14" in done.stdout
    assert f"this is Python {version[0]}.{version[1]}" in done.stdout
    assert "make PYTHON=python3.12 lint" in done.stdout
    assert not (tmp_path / "venv").exists()


def test_make_says_so_where_there_is_no_such_python(tmp_path: Path) -> None:
    done = make("lint", tmp_path / "python9", tmp_path / "venv")
    assert done.returncode == 2
    assert "There is no" in done.stdout


def test_make_tests_no_other_python_than_was_asked_for(tmp_path: Path) -> None:
    """A `.venv` keeps the Python that made it."""
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "python").symlink_to(python((3, 11), tmp_path))
    done = make("lint", python((3, 12), tmp_path), tmp_path / "venv")
    assert done.returncode == 2
    assert "make clean first, or keep both" in done.stdout
    assert "VENV=.venv-3.12" in done.stdout


def test_make_clean_removes_what_make_has_made_and_no_more(tmp_path: Path) -> None:
    for name in (".venv", ".mypy_cache", "consumer"):
        (tmp_path / name).mkdir()
    command = ["make", "-C", str(tmp_path), "-f", str(ROOT / "Makefile"), "clean"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert [left.name for left in tmp_path.iterdir()] == ["consumer"]


def python(version: tuple[int, int], folder: Path) -> Path:
    """A program that answers as that Python does to what the Makefile asks of it."""
    command = folder / f"python{version[0]}.{version[1]}"
    command.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        f"sys.version_info = ({version[0]}, {version[1]}, 0, 'final', 0)\n"
        f"if sys.argv[1] == '-V': print('Python {version[0]}.{version[1]}.0')\n"
        "else: exec(sys.argv[2])\n",
        encoding="utf-8",
    )
    command.chmod(0o755)
    return command


def make(target: str, interpreter: Path, venv: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", target, f"PYTHON={interpreter}", f"VENV={venv}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_decision_has_its_date_and_its_line_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    table = (folder / "README.md").read_text(encoding="utf-8")
    index = re.findall(r"^\| (\S+) \| \[.+?\]\((.+?)\)", table, re.MULTILINE)
    dated = []
    for path in folder.glob("*.md"):
        if path.name != "README.md":
            second = path.read_text(encoding="utf-8").split("\n\n")[1]
            assert re.fullmatch(r"\*\d{4}-\d\d-\d\d\*", second), f"{path.name}: no date"
            dated.append((second.strip("*"), path.name))
    assert sorted(index) == sorted(dated)
    assert [date for date, _ in index] == sorted((date for date, _ in index), reverse=True)


def test_the_licences_of_what_ships_are_in_the_wheel(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        licences = {
            name.split("/licenses/")[1] for name in archive.namelist() if "/licenses/" in name
        }
    assert licences >= {"LICENSE", "NOTICE", "LICENSES/Apache-2.0.txt", "LICENSES/MIT-EmoLLMs.txt"}
