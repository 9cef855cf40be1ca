"""The commands of docs/predict-and-evaluate.md run, on made-up files of the names used there."""

import gzip
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from emollm.tasks import V_REG
from emostream.command_line import make_app
from infra.kafka import create_topics, default_topics
from tests.docs.terminal import Terminal
from tests.tgi import FakeTgi
from tests.training.evaluation.test_sources import EVENT, semeval

PAGE = Path(__file__).parents[2] / "docs" / "predict-and-evaluate.md"
COMMANDS = re.findall(r"^\$ emostream (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
UNTIL_STOPPED = {
    "serve": "Model server ready at",
    "evaluate --bias": "answers",  # minutes: Ctrl-C once it has begun
}
"""How a command begins that is ended by Ctrl-C here, and what it shows before."""
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
async def test_it_runs_in_a_terminal(
    command: str, folder: Path, server: str, bootstrap: str
) -> None:
    if "small" in command:
        pytest.importorskip("ctranslate2")
    if command.startswith("events"):
        await create_topics({"bootstrap_servers": bootstrap}, default_topics())
    line = command.replace("http://localhost:3000", server).replace(" --json", "")
    line += " --port 0" if line.startswith("serve") else ""
    environment = {
        "EMOSTREAM_MODEL__SERVERS": server,
        "EMOSTREAM_KAFKA__BOOTSTRAP": bootstrap,
    }
    terminal = await Terminal.open(f"emostream {line}", folder, environment)
    try:
        shown = next((UNTIL_STOPPED[one] for one in UNTIL_STOPPED if line.startswith(one)), None)
        if shown is None:
            assert await terminal.ended() == 0, terminal.text
        else:
            await terminal.shows(shown)
            assert await terminal.interrupt() in {0, 130}, terminal.text
    finally:
        await terminal.close()
    assert "Traceback" not in terminal.text


def test_the_page_names_only_flags_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    for name in {command.split()[0] for command in COMMANDS}:
        make_app(overview=False)([name, "--help"])
    known = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
    assert set(re.findall(r"--[a-z][a-z-]*", PAGE.read_text(encoding="utf-8"))) <= known
