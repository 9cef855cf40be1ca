"""`emostream ask`: one text, read as the consumer would read it."""

from pathlib import Path
from typing import Any

import pytest

from consumer.settings import Settings
from emollm.errors import ModelError
from emostream.connection import Connection
from emostream.exits import CommandError
from emostream.one_text import read_one, report_lines
from tests.tgi import FakeTgi


def settings(url: str, wait_s: float = 20, **sections: Any) -> Settings:
    values = {"model": {"servers": [url], "timeout_s": 5, "wait_s": wait_s}, **sections}
    return Settings.model_validate(values)


async def test_a_text_is_read_without_kafka_and_told_in_lines() -> None:
    async with FakeTgi() as tgi:
        event = await read_one(settings(tgi.url), "What a day!")
    assert event.text == "What a day!"
    report = "\n".join(report_lines(event))
    assert "valence    0.73" in report
    assert "lzw1008/Emollama-chat-7b, 3 prompts" in report
    assert "truncated" not in report


async def test_a_text_that_lost_its_end_is_told() -> None:
    async with FakeTgi() as tgi:
        event = await read_one(settings(tgi.url), "word " * 10_000)
    assert "truncated  the text is too long for the model" in "\n".join(report_lines(event))


async def test_a_shape_configured_for_a_topic_is_no_matter_here() -> None:
    shaped: dict[str, Any] = {"input": {"preset": "bluesky", "langs": ["en"]}}
    async with FakeTgi() as tgi:
        assert (await read_one(settings(tgi.url, **shaped), "What a day!")).prompts == 3


async def test_a_text_that_can_not_be_read_is_a_sentence() -> None:
    async with FakeTgi() as tgi:
        with pytest.raises(CommandError, match="nothing visible"):
            await read_one(settings(tgi.url), "\u200b")


async def test_a_server_that_is_not_there_is_told_soon() -> None:
    with pytest.raises(ModelError):
        await read_one(settings("http://127.0.0.1:1", wait_s=1), "What a day!")


def test_a_variable_names_the_configuration_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("named", "chosen"):
        (tmp_path / name).write_text(f'[kafka]\nbootstrap = "{name}:9092"')
    monkeypatch.setenv("EMOSTREAM_CONFIG", str(tmp_path / "named"))
    assert Connection().settings().kafka.bootstrap == "named:9092"
    chosen = Connection(config=tmp_path / "chosen")
    assert chosen.settings().kafka.bootstrap == "chosen:9092"
    more = {"EMOSTREAM_KAFKA__BOOTSTRAP": "more:9092"}
    assert chosen.settings(more).kafka.bootstrap == "more:9092"


@pytest.mark.parametrize("server", ["http://small:3000", "http://other:3000"])
def test_the_second_models_server_can_be_the_one_that_is_asked(tmp_path: Path, server: str) -> None:
    file = tmp_path / "emostream.toml"
    file.write_text('[model.second]\nservers = ["http://small:3000"]\nweight = 0.2\n')
    chosen = Connection(config=file)
    assert chosen.settings_asking(server).model.servers == (server,)
    assert chosen.settings_asking(None).model.second.servers == ("http://small:3000",)
