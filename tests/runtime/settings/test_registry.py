"""What of `[registry]` is refused, in which words; secrets are in nothing that is printed."""

import re
from pathlib import Path
from typing import Any

import pytest

from consumer.settings import Settings
from consumer.settings import load as load_consumer
from monitor.settings import load as load_monitor
from runtime.registry.client import RegistryClient, client_conf
from runtime.settings import ConfigError, Registry

HTTPS = "https://registry.example.org:8081"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"format": "avro"}, "name its address in urls"),
        ({"urls": ["https://ann:pw@r"]}, "carries credentials"),
        ({"urls": ["registry:8081"]}, "addresses such as"),
        ({"urls": ["mock://x"]}, "addresses such as"),
        ({"urls": [f"{HTTPS}/?token=x"]}, "without a query"),
        ({"urls": [HTTPS], "auto_register": True}, "use_latest_version = false"),
        ({"urls": [HTTPS], "username": "ann"}, "both username and password"),
        ({"urls": [HTTPS], "username": "a", "password": "b", "token": "c"}, "or token"),
        ({"urls": [HTTPS], "cert_file": "a.pem"}, "both cert_file and key_file"),
        ({"urls": ["http://r:8081"], "token": "sekrit"}, "allow_plaintext"),
    ],
)
def test_what_can_not_work_is_refused_in_words(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)) as refused:
        Registry(**given)
    assert "sekrit" not in str(refused.value)


def test_framed_input_needs_a_registry() -> None:
    with pytest.raises(ValueError, match=r"name it in registry\.urls"):
        Settings.model_validate({"input": {"value": "registry"}})


def test_credentials_come_from_files_and_are_shown_nowhere(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("sekrit-word\n")
    made = Registry(urls=(HTTPS,), username="ann", password_file=str(secret))
    assert client_conf(made)["basic.auth.user.info"] == "ann:sekrit-word"
    assert "sekrit-word" not in repr(made) + RegistryClient(made).shown


def test_consumer_and_monitor_read_the_same_table(tmp_path: Path) -> None:
    file = tmp_path / "emostream.toml"
    file.write_text(f'[registry]\nurls = ["{HTTPS}"]\nformat = "avro"\n')
    env = {"EMOSTREAM_REGISTRY__TOKEN": "sekrit"}
    assert load_consumer(file, env).registry == load_monitor(file, env).registry
    with pytest.raises(ConfigError, match="sets no key"):
        load_monitor(file, {**env, "EMOSTREAM_REGISTRY__TOKN": "x"})
