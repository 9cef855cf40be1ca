"""What is wrong with a value is told in words of the configuration, not of a library."""

import re
from pathlib import Path
from typing import Any

import pytest

from consumer.settings import Settings
from consumer.settings import load as load_consumer
from monitor.settings import Settings as MonitorSettings
from monitor.settings import load as load_monitor
from runtime.settings import ConfigError, keys

PYDANTIC = re.compile(r"\b(Input|should|parse|valid|Tuple|String|instance|decimal)\b")
WRONG: tuple[str, ...] = ('"x y"', "-1", "1.5", "99999999999999999999", "true", "[1]", "{ a = 1 }")
"""One of each of TOML's kinds. Each key takes some of them and refuses the others."""


def refusals(path: tuple[str, ...], value: str, file: Path) -> list[str]:
    file.write_text(f"{'.'.join(path)} = {value}\n", encoding="utf-8")
    load = load_monitor if path[0] == "monitor" else load_consumer
    try:
        load(file, {})
    except ConfigError as error:
        return list(error.problems)
    return []


@pytest.mark.parametrize("value", WRONG)
def test_no_key_is_refused_in_pydantics_words(value: str, tmp_path: Path) -> None:
    paths = [*keys(Settings), *(one for one in keys(MonitorSettings) if one[0] == "monitor")]
    messages = [line for path in paths for line in refusals(path, value, tmp_path / "a.toml")]
    assert messages
    assert [line for line in messages if PYDANTIC.search(line.split(": ", 1)[1])] == []


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("http.port", '"many"', "http.port: must be a whole number"),
        ("http.port", "1.5", "http.port: must be a whole number"),
        ("http.port", "70000", "http.port: must be at most 65535"),
        ("model.timeout_s", '"soon"', "model.timeout_s: must be a number"),
        ("model.timeout_s", "0", "model.timeout_s: must be above 0"),
        ("model.servers", '"http://a"', "model.servers: must be a list, in square brackets"),
        ("model.servers", "[]", "model.servers: must not be empty"),
        ("model.dialect", '"TGI"', 'must be one of "auto", "tgi", "openai"'),
        ("input.preset", '"toot"', 'must be one of "" (empty), "mastodon", "bluesky", "reddit"'),
        ("input.group_id", '""', "input.group_id: must not be empty"),
        ("input.group_id", "7", "input.group_id: must be a text, in quotes"),
        ("input.topics", '["my posts"]', "'my posts' is no topic's name"),
        ("input.fields.text", '"a..b"', "names with a dot between them"),
        ("output.events_topic", '"my events"', "'my events' is no topic's name"),
        ("tasks.v_reg", '"maybe"', "tasks.v_reg: must be true or false"),
        ("kafka.tls", "true", "kafka.tls: must be a table"),
        ("tasks.custom", "[1]", "must be a table"),
    ],
)
def test_the_sentence_names_the_key_and_what_it_takes(
    key: str, value: str, message: str, tmp_path: Path
) -> None:
    assert message in "\n".join(refusals(tuple(key.split(".")), value, tmp_path / "a.toml"))


def test_a_variable_is_named_where_it_is_wrong() -> None:
    with pytest.raises(ConfigError) as refused:
        load_consumer(None, {"EMOSTREAM_HTTP__PORT": "ninety"})
    assert str(refused.value) == "EMOSTREAM_HTTP__PORT: http.port: must be a whole number"


def test_a_custom_task_of_another_type_is_refused_in_plain_words(tmp_path: Path) -> None:
    def refusal(table: dict[str, Any]) -> str:
        rows = "\n".join(f"{key} = {value}" for key, value in table.items())
        file = tmp_path / "a.toml"
        file.write_text(f"[[tasks.custom]]\n{rows}\n", encoding="utf-8")
        with pytest.raises(ConfigError) as refused:
            load_consumer(file, {})
        return str(refused.value)

    assert "wordings" in refusal({"name": '"a"', "wordings": "7"})
    assert "must be a list" in refusal({"name": '"a"', "wordings": "7"})
    assert "is missing" in refusal({"wordings": '["Say."]'})
    assert "unknown key" in refusal({"name": '"a"', "wordings": '["Say."]', "choises": '["b"]'})
