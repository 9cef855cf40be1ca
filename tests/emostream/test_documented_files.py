"""The commands of docs/predict-and-evaluate.md run, on made-up files of the names shown there."""

import gzip
import json
import re
import shlex
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from emollm.tasks import V_REG
from emostream.__main__ import make_app
from tests.process import emostream
from tests.tgi import FakeTgi
from tests.training.evaluation.test_sources import EVENT, semeval

PAGE = Path(__file__).parents[2] / "docs" / "predict-and-evaluate.md"
COMMANDS = re.findall(r"^\$ emostream (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
STREAM = [one for one in COMMANDS if one.startswith(("serve", "events"))]
"""Those of a whole pipeline, which `tests/training/evaluation/test_replayed_run.py` runs."""
HOURS = "evaluate --bias"
"""It asks 16,896 prompts; `test_evaluate.py` runs it on a few sentences."""
LABELS = "id,text,V-reg,E-c\n7,What a day,0.7,joy\n8,Oh no,0.1,sadness\n9,Well,0.5,\n"


@pytest.fixture
async def server() -> AsyncIterator[str]:
    async with FakeTgi() as tgi:
        yield tgi.url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the page's commands are given."""
    rows = [
        {
            "instruction": V_REG.instruction(text),
            "input": "",
            "output": gold,
            "pred": {"Emollama-chat-7b": answer},
        }
        for text, gold, answer in (("What a day", "0.7", "0.8"), ("Bad.", "0.2", "0.1"))
    ]
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "test.json").write_text(lines, encoding="utf-8")
    (tmp_path / "answers.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "posts.csv").write_text("id,message\n7,What a day\n", encoding="utf-8")
    (tmp_path / "posts.jsonl").write_text('{"id": "7", "text": "What a day"}\n', encoding="utf-8")
    (tmp_path / "labels.csv").write_text(LABELS, encoding="utf-8")
    (tmp_path / "events.jsonl").write_text(f"{json.dumps(EVENT)}\n", encoding="utf-8")
    semeval(tmp_path / "SemEval2018-Task1")
    (tmp_path / "submission").mkdir()
    (tmp_path / "submission" / "V-reg_en_pred.txt").write_text(
        "ID\tTweet\tAffect Dimension\tIntensity\n2018-En-4\tx\tvalence\t0.4\n", encoding="utf-8"
    )
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
async def test_it_runs_as_documented(command: str, folder: Path, server: str) -> None:
    line = command.partition(" > ")[0]
    if command in STREAM or command.startswith(HOURS):
        make_app(overview=False).parse_args(
            shlex.split(line), exit_on_error=False, print_error=False
        )
        return
    if "--model-id small" in line:
        pytest.importorskip("ctranslate2")
    words = shlex.split(line.replace("http://localhost:3000", server))
    environment = {"EMOSTREAM_MODEL__SERVERS": server, "NO_COLOR": "1"}
    async with emostream(*words, environment=environment, cwd=folder) as process:
        assert await process.wait() == 0, process.output
    assert "Traceback" not in process.output


def test_the_page_names_only_flags_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    for name in {command.split()[0] for command in COMMANDS}:
        make_app(overview=False)([name, "--help"])
    known = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
    assert set(re.findall(r"--[a-z][a-z-]*", PAGE.read_text(encoding="utf-8"))) <= known
