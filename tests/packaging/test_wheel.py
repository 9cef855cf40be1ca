"""What is built, and that it runs where others use the same names."""

import ast
import json
import os
import subprocess
import tarfile
import tomllib
from itertools import pairwise
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

import pytest

from tests.packaging.conftest import ROOT, Installed

ROOMS = "emostream/_rooms/"
LARGEST_MB = 45
# Fetched and verified by the build (monitor/page/vendor.py), never committed.
FETCHED = {
    f"monitor/page/static/vendor/uPlot/{name}"
    for name in ("uPlot.iife.min.js", "uPlot.min.css", "LICENSE")
}
FOR_A_CHECKOUT = "infra/grafana/"
"""Code that writes files of deployment."""
NAMES = "runtime schemas emollm consumer producer monitor infra training"


def names(wheel: Path) -> set[str]:
    with ZipFile(wheel) as archive:
        return set(archive.namelist())


def sources(wheel: Path) -> set[str]:
    """The files of the checkout that the wheel holds, by their paths in the checkout."""
    inside = {name for name in names(wheel) if name.startswith("emostream/")}
    return {name.removeprefix(ROOMS) for name in inside}


@pytest.fixture(scope="module")
def tracked() -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return set(listed.stdout.split("\0"))


def test_the_wheel_puts_one_name_into_site_packages(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in names(wheel)}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"emostream"}
    assert len(tops) == 2


def test_the_wheel_holds_nothing_but_files_that_git_tracks_and_uplot(
    wheel: Path, tracked: set[str]
) -> None:
    assert sources(wheel) - tracked == FETCHED


def test_the_sdist_holds_nothing_but_files_that_git_tracks_and_uplot(
    sdist: Path, tracked: set[str]
) -> None:
    with tarfile.open(sdist) as archive:
        files = [PurePosixPath(m.name) for m in archive.getmembers() if m.isfile()]
    held = {str(PurePosixPath(*path.parts[1:])) for path in files}
    assert held - tracked == {"PKG-INFO"} | FETCHED


def test_every_module_of_ours_is_in_the_wheel(wheel: Path, tracked: set[str]) -> None:
    folders = {"emostream", *NAMES.split()}
    modules = {name for name in tracked if name.endswith(".py") and name.split("/")[0] in folders}
    assert modules - sources(wheel) == {one for one in modules if one.startswith(FOR_A_CHECKOUT)}


def test_no_deployment_file_is_in_the_wheel(wheel: Path) -> None:
    assert not [name for name in names(wheel) if name.endswith((".yaml", ".yml", ".tpl"))]
    rooms = {name.split("/")[1] for name in sources(wheel) if name.startswith("infra/")}
    assert rooms == {"__init__.py", "kafka", "tgi"}


def test_the_wheel_is_small_and_holds_the_light_engines_model(wheel: Path) -> None:
    assert wheel.stat().st_size < LARGEST_MB * 1e6
    model = f"{ROOMS}infra/tgi/models/emostream-small/"
    assert {f"{model}ct2/model.bin", f"{model}tokenizer.json"} <= names(wheel)
    assert not [name for name in names(wheel) if name.endswith(".safetensors")]


def test_it_is_a_program_and_says_so(wheel: Path) -> None:
    """No `py.typed`, no classifier that would promise a typed library."""
    assert not [name for name in names(wheel) if name.endswith("py.typed")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "Typing :: Typed" not in project["classifiers"]


def test_importing_emostream_leaves_a_program_as_it_was(
    installed: Installed, tmp_path: Path
) -> None:
    code = f"""
import sys
from importlib.util import find_spec
path, modules = list(sys.path), set(sys.modules)
import emostream
import emostream.command_line
assert sys.path == path
ours = [name for name in {NAMES.split()} if find_spec(name) or name in sys.modules]
assert ours == [], ours
"""
    subprocess.run([installed.python, "-c", code], cwd=tmp_path, env={}, check=True)


@pytest.mark.timeout(620)
def test_the_demo_runs_among_folders_of_the_same_names(
    installed: Installed, tmp_path: Path
) -> None:
    """In the current folder and on PYTHONPATH; the demo's own processes start there, too."""
    for name in NAMES.split():
        package = tmp_path / name
        package.mkdir()
        (package / "__init__.py").write_text(f"raise ImportError('not our {name}')\n")
    done = subprocess.run(
        [installed.emostream, "demo", "--posts", "20", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=600,  # 90 s under load
        check=False,
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["posts"] == 20
    assert summary["lost"] == 0


def test_every_process_that_we_start_ignores_the_folder_it_starts_in() -> None:
    """`-P` or `-I` follows each `sys.executable`: a `schemas/` that is there isn't ours."""
    started = 0
    for folder in ("emostream", *NAMES.split()):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                for first, second in pairwise(_words(node)):
                    if ast.unparse(first) == "sys.executable":
                        started += 1
                        assert ast.unparse(second) in {"'-P'", "'-I'"}, (
                            f"{path}: {ast.unparse(node)}"
                        )
    assert started >= 3


def _words(node: ast.AST) -> list[ast.expr]:
    """What may be a command: a call's arguments, a list's or a tuple's elements."""
    if isinstance(node, ast.Call):
        return node.args
    return node.elts if isinstance(node, ast.List | ast.Tuple) else []
