"""`emostream monitor notify`: tries each receiver once, and says which did not take it."""

import asyncio
import json
import re
import tomllib
from pathlib import Path

import pytest

from emostream.command_line import make_app
from monitor.settings import Settings, load
from tests.monitor.notify.receiver import Receiver, receiving

DOCS = Path(__file__).parents[2] / "docs" / "notifications.md"


async def _call(*arguments: str) -> int:
    # The command runs an event loop of its own: in a thread.
    def call() -> int:
        try:
            result = make_app(overview=False)(arguments, result_action="return_value")
        except SystemExit as end:
            return int(end.code or 0)
        return int(result or 0)

    return await asyncio.to_thread(call)


def config(folder: Path, receiver: Receiver) -> str:
    file = folder / "emostream.toml"
    file.write_text(
        f'[[monitor.notify]]\nname = "ours"\nkind = "webhook"\nurl = "{receiver.url}/hidden"\n'
        f'[[monitor.notify]]\nname = "chat"\nkind = "slack"\nurl = "{receiver.url}/hidden"\n'
    )
    return str(file)


async def test_each_receiver_is_tried_once_and_a_failure_is_the_exit_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with receiving() as receiver:
        file = config(tmp_path, receiver)
        assert await _call("monitor", "notify", "--test", "--config", file) == 0
        assert len(receiver.bodies) == 2
        assert "ours (webhook) took it" in capsys.readouterr().out
        receiver.answers.append(500)
        assert await _call("monitor", "notify", "--test", "--json", "--config", file) == 1
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["delivered"] for line in lines] == [False, True]
    assert lines[0]["reason"] == "it answered 500"
    assert "hidden" not in str(lines)


async def test_without_test_nothing_is_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with receiving() as receiver:
        assert await _call("monitor", "notify", "--config", config(tmp_path, receiver)) == 0
        assert receiver.bodies == []
    assert "nothing was sent: add --test" in capsys.readouterr().out


def test_the_configuration_of_the_docs_is_accepted(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    for name, secret in (
        ("slack", "https://hooks.example/x"),
        ("webhook", "whsec_" + "QUFB" * 11),
        ("ntfy", "ntfy://ntfy.example/mood"),
    ):
        (tmp_path / name).write_text(secret)
    block = block.replace("/run/secrets", str(tmp_path))
    assert len(tomllib.loads(block)["monitor"]["notify"]) == 4
    file = tmp_path / "emostream.toml"
    file.write_text(block)
    settings: Settings = load(file, {})
    assert [one.kind for one in settings.monitor.notify] == [
        "alertmanager",
        "slack",
        "webhook",
        "apprise",
    ]
