"""The commands of docs/predict-and-evaluate.md are ones that the command line takes."""

import re
import shlex
from pathlib import Path

import pytest

from emostream.__main__ import make_app

PAGE = Path(__file__).parents[2] / "docs" / "predict-and-evaluate.md"
COMMANDS = re.findall(r"^\$ emostream ([^>\n]*)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_it_takes_the_documented_words(command: str) -> None:
    app = make_app(overview=False)
    app.parse_args(shlex.split(command), exit_on_error=False, print_error=False)


def test_the_page_names_only_flags_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    for name in {command.split()[0] for command in COMMANDS}:
        make_app(overview=False)([name, "--help"])
    known = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
    assert set(re.findall(r"--[a-z][a-z-]*", PAGE.read_text(encoding="utf-8"))) <= known
